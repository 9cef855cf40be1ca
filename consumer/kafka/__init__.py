"""Kafka as the service sees it: a narrow protocol, aiokafka behind it, TLS and SASL."""
