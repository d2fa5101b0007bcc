"""The traces database, made and brought up to date by ``ams-trace-ingest migrate``."""
