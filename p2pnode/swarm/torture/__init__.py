"""Whole nodes tortured in a simulated world; every fault comes from one seed.

    report = run_seed(7, nodes=40)

`roles` and `plan` draw the parts and the faults, `disk` and `carrier` do to a node
what disks and wires do, `town` keeps the nodes running, `liars` lie, `cheats` want
money, `offer` is what is paid for, `play` a campaign. `checks` look after each step
and at the end, `money` at the sums, `judgement` at what everybody says of the closes,
by `oracle`, which reads the rules once more. `run` puts it together.
"""
