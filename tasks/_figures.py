"""Words that several tasks' published figures share."""

EMOBOX = "Ma et al., EmoBox, Interspeech 2024"
UNCHECKED = "taken from a secondary source, not checked by us"
