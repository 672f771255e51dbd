"""The digest that identifies features, runs and corpora."""

import hashlib
import json
from typing import Any


def digest(content: Any) -> str:
    """32 hex digits that identify a JSON-like value."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
