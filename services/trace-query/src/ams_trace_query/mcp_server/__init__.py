"""The MCP server: coding agents read tasks, steps and statistics. Every tool asks the routes of this service, with the caller's credential."""
