"""Deterministic transforms of a clip's waveform, and their extraction."""
