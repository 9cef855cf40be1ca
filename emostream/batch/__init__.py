"""Asking a model about files: batch inference, and gold labels to be scored."""
