"""AMS on one machine: supervisor, embedded servers, gateway."""
