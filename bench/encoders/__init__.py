"""Frozen pre-trained encoders, and the loading of their weights."""
