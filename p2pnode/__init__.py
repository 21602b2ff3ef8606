"""The node: store, network, services and local API around `protocols`."""
