"""Words that several tasks' published figures share."""

EMOBOX = "Ma et al., EmoBox, Interspeech 2024"
SUPERB = "SUPERB's emotion task (Yang et al., Interspeech 2021), as tabled by Chen et al., WavLM, 2022"
FROZEN = "frozen encoder, last layer"
UNCHECKED = "taken from a secondary source, not checked by us"
