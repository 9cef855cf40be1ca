"""Kafka's side: fetch, batch, schedule, publish, commit. It knows of no task and no model."""
