"""What a cheat's changed software would do, with one node's keys and its real store.

    python -m p2pnode.swarm.cheater leave-out HOME CAMPAIGN AUTHOR [--again]
    python -m p2pnode.swarm.cheater copy HOME TO

`leave-out` signs a close without an author whom the witnesses saw: of the next round,
or of the last once more. `copy` makes a second node with the same author keys, which
nobody knows yet. The node on HOME must not run. Only demos and tests start this:
nothing of an honest node imports it.
"""

from __future__ import annotations

import argparse
import json
import secrets
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from p2pnode import identity as identities
from p2pnode.api import folder
from p2pnode.api.folder import STORE_FILE
from p2pnode.high_water import MARK, Mark
from p2pnode.services.closing import close_drafts, verify
from p2pnode.services.feeds import Feeds
from p2pnode.services.library import Library
from p2pnode.services.peers import PEER
from p2pnode.store import mark_file
from p2pnode.store.sqlite import open_store
from p2pnode.system import SystemClock, SystemRng
from protocols.settlement.close import Closing
from protocols.settlement.settle import settle
from protocols.settlement.verify import declare, declared_chain, sponsor_closes
from protocols.text import read_author, read_campaign

if TYPE_CHECKING:
    from p2pnode.services.library import View
    from protocols.keys import AuthorKey

COPIED: Final = (identities.FILE, STORE_FILE, f"{STORE_FILE}-wal")


async def leave_out(home: Path, campaign: str, author: str, *, again: bool) -> None:
    """Sign a close that leaves an author out."""
    rng, store = SystemRng(), await open_store(home / STORE_FILE)
    try:
        identity = identities.load(home)
        feeds = Feeds(store, identity.network_id, SystemClock(), rng)
        await feeds.open()
        library = Library(identity, feeds, store)
        await library.open()
        view = await library.view(read_campaign(campaign))
        closing, previous = lie(view, read_author(author), again=again)
        drafts = close_drafts(view.terms, closing, previous, rng)
        assert identity.author_key is not None, "a sponsor has a public key"
        await feeds.publish_many(identity.author_key, view.campaign, drafts)
    finally:
        await store.close()


def lie(view: View, author: AuthorKey, *, again: bool) -> tuple[Closing, bytes]:
    """What the evidence says, without the author; and the close before it."""
    terms, evidence = view.terms, view.evidence
    closes = sponsor_closes(terms, evidence)
    before = declared_chain(terms, closes[-1], evidence) if closes else []
    if again:
        honest, previous = before.pop(), closes[-1].claim().previous
    else:
        number = verify(view).next_round
        assert number is not None, "there is a round to close"
        honest = declare(terms, number, before, evidence).declared
        previous = closes[-1].id if closes else view.campaign
    cut = tuple(entry for entry in honest.cut if entry.author != author)
    declared = replace(honest, cut=cut, rows=(), lines=())
    settlement = settle(terms, [*before, declared], evidence.lookup)
    return Closing(declared=declared, settlement=settlement), previous


def copy(home: Path, to: Path) -> None:
    """Make a second node of the same person: same keys and records, no neighbours.

    A copied folder is noticed by its mark (`p2pnode.high_water`): the cheat forges one.
    """
    to.mkdir(mode=0o700)
    for name in COPIED:
        if (home / name).exists():
            shutil.copy(home / name, to / name)
    keys = to / identities.FILE
    document = json.loads(keys.read_text("utf-8"))
    document["seeds"]["transport"] = secrets.token_hex(32)
    keys.write_text(json.dumps(document), "utf-8")
    trio.run(_disguise, to)


async def _disguise(home: Path) -> None:
    store = await open_store(home / STORE_FILE)
    try:
        known = await store.state(PEER)
        await store.append((), state=dict.fromkeys(known))
        forged = mark_file.MarkFile(home / mark_file.NAME)
        forged.write(Mark.decode((await store.state(MARK))[MARK]), sync=True)
        forged.close()
    finally:
        await store.close()


def main() -> None:
    """Do what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m p2pnode.swarm.cheater")
    verbs = parser.add_subparsers(dest="verb", required=True)
    leaving = verbs.add_parser("leave-out")
    for name in ("home", "campaign", "author"):
        leaving.add_argument(name)
    leaving.add_argument("--again", action="store_true")
    copying = verbs.add_parser("copy")
    for name in ("home", "to"):
        copying.add_argument(name)
    said = parser.parse_args()
    with folder.locked(Path(said.home)):
        if said.verb == "copy":
            copy(Path(said.home), Path(said.to))
        else:
            trio.run(_leave_out, said)


async def _leave_out(said: argparse.Namespace) -> None:
    await leave_out(Path(said.home), said.campaign, said.author, again=said.again)


if __name__ == "__main__":
    main()
