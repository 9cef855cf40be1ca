"""The live monitor: events in from Kafka, windows, alerts and baselines out, standby included."""
