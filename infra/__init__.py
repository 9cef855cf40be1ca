"""What it all stands on: Apache Kafka embedded, and the TGI-compatible server."""
