"""The version of this distribution, as requests and ``ams version`` report it; a test compares it with pyproject.toml."""

__version__ = "0.1.0"
