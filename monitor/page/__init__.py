"""The live page: what the monitor sees, for people."""
