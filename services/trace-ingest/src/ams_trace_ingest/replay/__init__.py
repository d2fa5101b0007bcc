"""Building the tables again from the log, beside those that serve, and changing over."""
