"""Streams between peers: libp2p, and a simulated world."""
