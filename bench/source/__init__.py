"""Fingerprints of code that belongs to no installed package: notebooks, scripts, modules."""
