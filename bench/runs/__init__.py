"""From what the user asked for to what is recorded in MLflow."""
