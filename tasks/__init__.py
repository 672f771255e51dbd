"""The tasks: one file per corpus; `_name.py` is shared code, never a task."""
