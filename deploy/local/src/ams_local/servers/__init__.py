"""The servers that `ams up` and the tests start on one machine: Postgres, Valkey, Kafka and Caddy from package registries."""
