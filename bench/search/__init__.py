"""Searching recipes with Optuna."""
