"""Logs, and the server of health and metrics."""
