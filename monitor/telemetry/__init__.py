"""What the monitor tells its operator: log events, metrics, health."""
