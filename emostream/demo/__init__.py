"""The whole pipeline on one machine: `emostream demo`."""
