"""From counted records to the statement: a pure fold over rounds. Spec 0008.

`settle.settle` reads the terms, the declared cuts and the records under them,
and nothing else. Reading order: cut, said, admission, rows, bind, judge, rules, money,
settle; then close, verify and voucher around it.
"""
