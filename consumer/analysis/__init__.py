"""The model's side: a batch of records in, one outcome for each out. It knows of no Kafka."""
