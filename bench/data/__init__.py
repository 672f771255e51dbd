"""From a corpus on disk to decoded, cached audio."""
