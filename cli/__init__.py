"""Commands people type. A client of the node, never of libp2p."""
