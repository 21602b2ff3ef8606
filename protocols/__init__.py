"""The rules of p2pnode: pure functions over bytes, with their specs and vectors.

Nothing here waits, opens, sleeps, logs or tosses a coin. Time, randomness and
keys arrive as arguments. `protocols/README.md` maps specs to modules.
"""
