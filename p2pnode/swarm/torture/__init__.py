"""Whole nodes tortured in a simulated world; every fault comes from one seed.

    report = run_seed(7, nodes=40)

`plan` draws the parts and the faults, `disk` and `carrier` do to a node what
disks and wires do, `town` keeps the nodes running, `liars` lie, `play` is a
campaign, `checks` look after each step and at the end, `run` puts it together.
"""
