"""Split protocols and the checks for leakage."""
