"""Kafka behind a protocol: clients, security, and topics read from end to end."""
