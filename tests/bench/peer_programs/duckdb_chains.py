"""How long DuckDB's recursive query takes to share pools along chains.

    .peers/venv/bin/python tests/bench/peer_programs/duckdb_chains.py PEOPLE ACTS

Both are CSV files: (person, inviter or nothing) and (person, pool). Runs in the
environment that `make peers` sets up, not in ours; prints JSON.
"""

from __future__ import annotations

import json
import sys
import time

import duckdb

SHARES = """
WITH RECURSIVE chain(person, pool, level) AS (
  SELECT person, pool, 1 FROM acts
  UNION ALL
  SELECT inviter, pool, level + 1 FROM chain JOIN people USING (person)
  WHERE inviter IS NOT NULL AND pool >> (level + 1) > 0
)
SELECT person, sum(pool >> level) AS earned FROM chain GROUP BY person HAVING earned > 0
"""


def main(people: str, acts: str) -> None:
    """Read the files, run the query, print how long and what it gave."""
    base = duckdb.connect()
    base.execute("CREATE TABLE people (person BIGINT, inviter BIGINT)")
    base.execute("CREATE TABLE acts (person BIGINT, pool BIGINT)")
    base.execute(f"COPY people FROM '{people}'")
    base.execute(f"COPY acts FROM '{acts}'")
    start = time.perf_counter()
    rows = base.execute(SHARES).fetchall()
    seconds = time.perf_counter() - start
    earned = [(person, int(amount)) for person, amount in rows]
    print(json.dumps({"seconds": seconds, "earned": earned}))


if __name__ == "__main__":
    main(*sys.argv[1:])
