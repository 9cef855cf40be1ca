"""What every program of emostream is built on; it knows of no post, model or window.

kafka/      Kafka behind a protocol: clients, security, topics read from end to end
registry/   a schema registry: what frames posts and events, and what it says of them
settings/   one TOML file and `EMOSTREAM_…` variables into typed sections
telemetry/  logs, and the server of `/livez`, `/readyz` and `/metrics`
clock       time, as a seam
signals     SIGTERM and SIGINT
errors      what ends a program, and its exit status
"""
