"""What it all runs on: Apache Kafka embedded, and the TGI-compatible server."""
