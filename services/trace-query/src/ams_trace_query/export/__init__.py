"""Tasks as files: an archive that can be imported again, JSON Lines for analysis, OTLP for other tools."""
