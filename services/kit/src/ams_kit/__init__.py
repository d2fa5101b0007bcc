"""What the services of AMS share and what has no business meaning."""
