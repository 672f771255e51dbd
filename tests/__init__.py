"""The tests, in packages that mirror the code."""
