"""All that the author of a backbone, a task or a feature must know."""
