"""The query language: text -> tree (``parse``) -> SQLAlchemy Core (``compile``)."""
