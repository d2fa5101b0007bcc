"""Tasks, steps and search of AMS over REST."""
