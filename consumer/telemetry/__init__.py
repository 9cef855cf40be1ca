"""What the service tells the operator: logs, metrics, health. All names are an interface."""
