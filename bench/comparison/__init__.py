"""Whether differences between systems are real, on one task and over several."""
