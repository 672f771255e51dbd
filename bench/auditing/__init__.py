"""Whether published figures can be right, given the class counts of their test clips."""
