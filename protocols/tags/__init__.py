"""Data tags: their entries, what a scan proves, what a code carries."""
