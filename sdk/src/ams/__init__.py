"""Tell AMS what your agent does while it does it."""
