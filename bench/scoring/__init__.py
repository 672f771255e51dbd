"""Predictions, and every score computed from them."""
