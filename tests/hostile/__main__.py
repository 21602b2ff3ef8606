"""One round of every attack: `python -m tests.hostile ADDRESS SCOPE [options]`.

For a node that you started yourself, on this machine. Prints one JSON line for
each attack: what it was, what became of it, how long it took.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import trio

from p2pnode.ports import StreamClosed, Unreachable
from protocols.invite_link import read_invite_link
from protocols.keys import Scope, network_id
from tests.hostile import bytes as below
from tests.hostile import door, frames
from tests.hostile.peer import Attack, Victim

LIMIT_S = 45.0
"""How long one attack may take before it is given up."""


def lanes(victim: Victim) -> Sequence[Mapping[str, Attack]]:
    """Every attack that makes sense; one of each lane goes on at a time."""
    chains = frames.CHAINS if victim.link else {}
    doors = door.ATTACKS if victim.door else {}
    return below.ATTACKS, frames.ATTACKS | chains, doors


async def attempt(attack: Attack, victim: Victim) -> str:
    """Attack once; the attacker's own trouble is an outcome, not an error."""
    with trio.move_on_after(LIMIT_S):
        try:
            return await attack(victim)
        except Exception as fault:  # noqa: BLE001 - groups of anything, by libp2p
            return _word(fault)
    return "given up"


def _word(fault: BaseException) -> str:
    while isinstance(fault, BaseExceptionGroup):
        fault = fault.exceptions[0]
    words = {
        Unreachable: "unreachable",
        StreamClosed: "hung up",
        trio.TooSlowError: "no answer",
        OSError: "refused",
    }
    found = (word for kind, word in words.items() if isinstance(fault, kind))
    return next(found, f"attacker failed: {fault!r}")


async def round_of(victim: Victim, parts: Sequence[str]) -> None:
    """Make the attacks whose names contain one of `parts`; all, if there is none."""
    async with trio.open_nursery() as nursery:
        for lane in lanes(victim):
            nursery.start_soon(run_lane, victim, lane, parts)


async def run_lane(
    victim: Victim, lane: Mapping[str, Attack], parts: Sequence[str]
) -> None:
    """One attack after the other, a line about each."""
    for name, attack in lane.items():
        if parts and not any(part in name for part in parts):
            continue
        start = trio.current_time()
        end = await attempt(attack, victim)
        took = round(trio.current_time() - start, 2)
        line = {"attack": name, "end": end, "seconds": took}
        print(json.dumps(line), flush=True)


def main() -> int:
    """Read the command line and attack."""
    parser = argparse.ArgumentParser(prog="python -m tests.hostile")
    parser.add_argument("address", help="multiaddr of the node's peer port")
    parser.add_argument("scope", help="a scope that it follows, in hex")
    parser.add_argument("--network", default="test")
    parser.add_argument("--door", type=int, default=0, help="port of its local API")
    parser.add_argument("--only", action="append", default=[], metavar="PART")
    parser.add_argument("--invite", type=Path, help="a file with a public invite link")
    parser.add_argument("--chain", type=int, default=100, metavar="LENGTH")
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    told = given.invite.read_text("utf-8").strip() if given.invite else ""
    victim = Victim(
        address=given.address,
        network=network_id(given.network),
        scope=Scope(bytes.fromhex(given.scope)),
        link=read_invite_link(told) if told else None,
        door=given.door,
        chain=given.chain,
    )
    trio.run(round_of, victim, given.only)
    return 0


if __name__ == "__main__":
    sys.exit(main())
