"""Comparison tables from recorded runs, as `bench table` prints them."""
