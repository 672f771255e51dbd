"""From cached arrays to predictions: one training loop for every network."""
