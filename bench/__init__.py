"""ser-bench: which speech backbone recognises emotion best, on one protocol, from one command."""
