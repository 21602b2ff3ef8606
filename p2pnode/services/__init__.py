"""What the node does with records, one concern a file."""
