"""Users, sessions, projects, members and API keys of AMS."""
