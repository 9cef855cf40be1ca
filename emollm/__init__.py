"""Asking an EmoLLM: tasks, prompts, answers, models, and the servers that run them."""
