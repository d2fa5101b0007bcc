"""The commands that this package adds to ``ams`` (entry-point group ``ams.commands``)."""
