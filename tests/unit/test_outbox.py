"""What a neighbour is still to be sent stays bounded, whatever it asks for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from p2pnode.services.outbox import IDS_MAX, Outbox
from p2pnode.store.memory import MemoryStore
from protocols.effects import ServeIds
from protocols.keys import RecordId, Scope
from protocols.limits import CREDIT_GRANT, WANT_IDS_MAX

SCOPE = Scope(b"s" * 32)


class Taking:
    """A session of a peer that takes records as long as it has credit."""

    room = CREDIT_GRANT

    def found(self, _scope: Scope, _records: Any) -> Any:
        return SimpleNamespace(frames=[])


def asked(start: int) -> list[ServeIds]:
    names = [RecordId(n.to_bytes(32, "big")) for n in range(start, start + IDS_MAX)]
    pages = range(0, IDS_MAX, WANT_IDS_MAX)
    return [ServeIds(scope=SCOPE, ids=tuple(names[at:][:WANT_IDS_MAX])) for at in pages]


async def test_what_came_for_a_peer_without_credit_is_bounded() -> None:
    session, feeds = Taking(), SimpleNamespace(store=MemoryStore())
    outbox = Outbox(cast("Any", session), cast("Any", feeds), lambda *_: None)
    for page in asked(0):
        outbox.plan(page)
    assert await outbox._now() == []  # none is here: all are owed
    session.room = 0
    for page in asked(IDS_MAX):
        outbox.plan(page)
    came = [SimpleNamespace(id=one) for page in asked(0) for one in page.ids]
    outbox.found(cast("Any", came))
    for page in asked(2 * IDS_MAX):
        outbox.plan(page)
    assert all(gauge.value <= gauge.most for gauge in outbox.gauges())
