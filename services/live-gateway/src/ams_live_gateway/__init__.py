"""Live updates of AMS over websockets."""
