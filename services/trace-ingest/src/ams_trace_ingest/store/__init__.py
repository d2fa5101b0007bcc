"""All SQL of trace-ingest, one module a table."""
