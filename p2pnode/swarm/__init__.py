"""Nodes as processes on this machine: the demo and the test swarm."""
