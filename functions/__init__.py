"""The functions: each folder is one deploy, with its flow in `main.py` and its pinned requirements beside it."""
