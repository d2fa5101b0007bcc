"""Infrastructure that the services of AMS share, without business rules."""
