"""Fingerprints of code that belongs to no installed package: a notebook, a script, their modules."""
