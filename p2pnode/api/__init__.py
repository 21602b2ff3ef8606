"""The local HTTP door that the CLI uses."""
