"""What writes posts into Kafka: replay of files, load, the rated tweets."""
