"""What a crash may repeat: outcomes reach Kafka at least once, or exactly once."""
