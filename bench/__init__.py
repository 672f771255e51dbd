"""ser-bench: which speech backbone recognises emotion best, on one protocol, from one command."""

__version__ = "0.1.0"
