"""The systems under test: one file each; `_name.py` is shared code, never a backbone."""
