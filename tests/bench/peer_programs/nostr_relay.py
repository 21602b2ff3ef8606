"""How fast a Rust Nostr relay takes events: `nostr-sdk`, in memory, one WebSocket.

    .peers/venv/bin/python tests/bench/peer_programs/nostr_relay.py COUNT

Runs in the environment that `make peers` sets up, not in ours; prints JSON. After
some 8,000 events the relay hangs up: ask for fewer.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import websockets
from nostr_sdk import EventBuilder, Keys, Kind, LocalRelayBuilder, RateLimit

WINDOW = 256
"""Events sent before their acknowledgements are awaited."""


async def measure(count: int) -> dict[str, float]:
    """Send `count` signed notes, wait until the relay acknowledged each."""
    keys = Keys.generate()
    notes = (EventBuilder(Kind(1), f"note {i}").finalize(keys) for i in range(count))
    events = [json.loads(note.as_json()) for note in notes]
    limit = RateLimit(max_reqs=1_000, notes_per_minute=2_000_000_000)
    relay = LocalRelayBuilder().rate_limit(limit).build()
    await relay.run()
    frames = [json.dumps(["EVENT", event]) for event in events]
    async with websockets.connect(str(await relay.url())) as socket:
        accepted = 0
        start = time.perf_counter()
        for at in range(0, count, WINDOW):
            window = frames[at : at + WINDOW]
            for frame in window:
                await socket.send(frame)
            for _ in window:
                kind, _id, taken, *_why = json.loads(await socket.recv())
                assert kind == "OK", kind
                accepted += taken
        seconds = time.perf_counter() - start
    relay.shutdown()
    assert accepted == count, f"{accepted} of {count} were taken"
    return {"count": count, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure(int(sys.argv[1])))))
