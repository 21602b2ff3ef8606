"""Real processes: killed, stopped, started twice, on bad folders, on full disks."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from cli import client
from p2pnode import identity
from p2pnode.api.folder import api_file
from p2pnode.failures import Failure
from p2pnode.swarm.supervisor import NODE
from tests.faults.kills import kill_often
from tests.nodes import Daemon, cli, program, refused, until, wrapped

pytestmark = [
    pytest.mark.slow,
    pytest.mark.net,
    pytest.mark.skipif(sys.platform == "win32", reason="signals and modes of POSIX"),
]

KILLS = 5


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Daemon]:
    """A merchant's node with keys, not started."""
    node = Daemon(tmp_path / "shop", "merchant")
    yield node
    node.stop()


@pytest.fixture(scope="module")
def open_shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One that runs, for those who only knock."""
    with Daemon(tmp_path_factory.mktemp("open") / "shop", "merchant") as node:
        node.ready()
        yield node


@pytest.fixture
def alice(tmp_path: Path) -> Iterator[Daemon]:
    node = Daemon(tmp_path / "alice")
    yield node
    node.stop()


@pytest.mark.long
def test_nothing_is_lost_or_signed_twice_over_kills(tmp_path: Path) -> None:
    tally = kill_often(tmp_path, KILLS, seed=1)
    assert len(tally.acknowledged) > 3 * KILLS


def test_a_second_node_on_a_folder_is_refused(open_shop: Daemon) -> None:
    shop = open_shop
    done = program("run", home=shop.home)
    assert done.returncode == 1
    assert f"Another node (process {shop.ready().pid}) runs on" in done.stderr
    assert "What to do: " in done.stderr
    assert shop.do("status")["name"] == "shop"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_node_in_order(shop: Daemon, number: signal.Signals) -> None:
    os.kill(shop.up().pid, number)
    assert shop._process is not None
    assert shop._process.wait(5) == 0
    assert not api_file(shop.home).exists()
    assert shop.log_text() == ""


def test_a_node_comes_back_where_others_know_it(shop: Daemon) -> None:
    before = shop.up().addresses
    shop.stop()
    assert shop.up().addresses == before
    shop.stop()
    port = int(before[0].split("/")[4])
    with socket.create_server(("127.0.0.1", port)):
        assert shop.up().addresses != before


def test_no_node_is_exit_code_4(shop: Daemon) -> None:
    assert cli(shop.home, "status").code == 4
    shop.up()
    stale = api_file(shop.home).read_bytes()
    shop.kill()
    assert api_file(shop.home).read_bytes() == stale
    said = cli(shop.home, "status")
    assert (said.code, said.out) == (4, "")
    assert "Start it with: p2pnode run" in said.err


@pytest.mark.parametrize(
    ("headers", "body", "status", "reason"),
    [
        ({"Authorization": "Bearer no"}, b"", 401, "wrong-token"),
        ({"Host": "evil.com"}, b"", 421, "wrong-host"),
        ({"Origin": "https://evil.com"}, b"", 403, "wrong-origin"),
        ({"Content-Length": str(2**30)}, b"", 413, "body-too-large"),
    ],
)
def test_strangers_at_the_local_door_are_refused(
    open_shop: Daemon, headers: dict[str, str], body: bytes, status: int, reason: str
) -> None:
    shop = open_shop
    door = client.door(shop.home)
    own = {"Authorization": f"Bearer {door.token}", "Host": f"127.0.0.1:{door.port}"}
    connection = HTTPConnection("127.0.0.1", door.port, timeout=5)
    connection.request("POST", "/peers", body, own | headers)
    answer = connection.getresponse()
    assert (answer.status, json.loads(answer.read())["reason"]) == (status, reason)
    connection.close()
    assert shop.do("status")["neighbours"] == 0


@pytest.mark.parametrize(
    "listen",
    ["nonsense", "", "/ip4/127.0.0.1/udp/4001", "/ip4/203.0.113.9/tcp/0", "TAKEN"],
)
def test_an_address_that_cannot_be_used_is_said(shop: Daemon, listen: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        if listen == "TAKEN":
            listen = f"/ip4/127.0.0.1/tcp/{taken.getsockname()[1]}"
        said = refused(shop.home, "--listen", listen)
    assert (said.code, said.out) == (1, "")
    assert "cannot listen on" in said.err
    assert "What to do: Choose another" in said.err


def newer(store: Path) -> None:
    with sqlite3.connect(store) as file:
        file.execute("PRAGMA application_id = 0x70327031")
        file.execute("PRAGMA user_version = 99")


def foreign(store: Path) -> None:
    with sqlite3.connect(store) as file:
        file.execute("CREATE TABLE mine (value)")


def garbage(path: Path) -> None:
    path.write_bytes(b"garbage " * 4_096)
    path.chmod(0o600)


KEYS, STORE = identity.FILE, "records.sqlite"


@pytest.mark.parametrize(
    ("file", "harm", "says"),
    [
        (KEYS, garbage, "cannot be read as this node's keys"),
        (KEYS, lambda p: os.truncate(p, 100), "cannot be read as this node's keys"),
        (KEYS, lambda p: p.write_text("[" * 100_000), "cannot be read as this node's"),
        (KEYS, lambda p: p.chmod(0o644), "chmod 600"),
        (KEYS, lambda p: p.unlink(), "p2pnode init"),
        (STORE, newer, "A newer p2pnode wrote this store"),
        (STORE, garbage, "The store cannot be read"),
        (STORE, foreign, "not a p2pnode store"),
        (STORE, lambda p: p.mkdir(), "The store cannot be read"),
    ],
)
def test_a_bad_folder_is_said_and_left_as_it_is(
    shop: Daemon, file: str, harm: Callable[[Path], object], says: str
) -> None:
    harm(shop.home / file)
    before = {p: p.read_bytes() for p in shop.home.glob("*.*") if p.is_file()}
    said = refused(shop.home)
    assert (said.code, said.out) == (1, "")
    assert says in said.err
    assert {p: p.read_bytes() for p in before} == before


def test_sealed_keys_need_their_passphrase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, secret = tmp_path / "shop", tmp_path / "secret"
    identity.create(home, role="merchant", name="shop", passphrase="right")
    secret.write_text("wrong\n", "ascii")
    new = ("campaign", "new", str(tmp_path / "campaign.toml"))
    for said in (refused(home), cli(home, *new)):
        assert (said.code, "sealed with a passphrase" in said.err) == (1, True)
    monkeypatch.setenv(identity.SEALED_BY, str(secret))
    for said in (refused(home), cli(home, *new)):
        assert (said.code, "passphrase is wrong" in said.err) == (1, True)
    secret.write_text("", "ascii")
    said = refused(home)
    assert (said.code, "There is no passphrase" in said.err) == (1, True)
    secret.write_text("right\n", "ascii")
    assert cli(home, *new).code == 0


ROOT_OBEYS = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
"""Before a command: root without the right to write everywhere."""


def test_what_may_not_be_written_is_said(shop: Daemon) -> None:
    prefix = ROOT_OBEYS if os.getuid() == 0 else ()
    if prefix and not shutil.which("setpriv"):
        pytest.skip("root may write everywhere, and setpriv is not there")
    shop.home.chmod(0o500)
    done = program("run", home=shop.home, prefix=prefix)
    assert (done.returncode, "Permission denied" in done.stderr) == (1, True)
    shop.home.chmod(0o700)
    store = shop.home / "records.sqlite"
    store.touch(0o400)
    done = program("run", home=shop.home, prefix=prefix)
    assert (done.returncode, "the file is read-only" in done.stderr) == (1, True)
    assert store.stat().st_size == 0


FULL = """
from p2pnode.store import sqlite
sqlite.SETTINGS += "PRAGMA max_page_count = 40;"
"""
"""A disk that is full soon: SQLite says of it what it says of a full disk."""

SMALL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
"""
"""No file grows above 200 kB: a write that breaks off in the middle."""


def fill(node: Daemon, codes: list[str]) -> tuple[list[str], Failure]:
    """Scan until the disk takes no more; what was acknowledged, and what failed."""
    acknowledged: list[str] = []
    for code in codes:
        try:
            acknowledged.append(node.scan(code))
        except Failure as failure:
            return acknowledged, failure
    raise AssertionError("the disk was never full")


def test_a_full_store_is_said_and_reads_go_on(tmp_path: Path) -> None:
    with Daemon(tmp_path / "shop", "merchant", command=wrapped(FULL)) as shop:
        shop.ready()
        codes = shop.publish(balloons=100, seen="1s")
        acknowledged, failure = fill(shop, codes * 3)
        assert failure.reason == "disk-full"
        said = cli(shop.home, "scan", codes[-1])
        assert said.code == 1
        assert "The disk takes no more" in said.err
        assert "What to do: Make room" in said.err
        assert set(acknowledged) <= set(shop.records())
        assert shop.do("status")["name"] == "shop"
        until(lambda: "cannot do its duty" in shop.log_text())
        assert "Traceback" not in shop.log_text()
        shop.kill()
    shop._command = [*NODE]
    with shop:
        shop.ready()
        held = shop.records()
        assert set(acknowledged) <= set(held)
        assert shop.scan(codes[-1]) not in held


def can_mount() -> bool:
    """Whether this account may mount a small disk."""
    return sys.platform == "linux" and os.getuid() == 0


@pytest.mark.skipif(not can_mount(), reason="only root on Linux mounts a small disk")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=700k,mode=700", "tmpfs", str(small)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        with Daemon(small / "shop", "merchant") as shop:
            shop.ready()
            codes = shop.publish(balloons=100, seen="1h")
            (small / "ballast").write_bytes(b"x" * 100_000)
            acknowledged, failure = fill(shop, codes)
            assert failure.reason == "disk-full"
            assert shop.do("status")["records"] >= len(acknowledged)
            (small / "ballast").unlink()
            until(lambda: scans(shop, codes[-1]))
            assert set(acknowledged) <= set(shop.records())
            assert "Traceback" not in shop.log_text()
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def scans(node: Daemon, code: str) -> bool:
    try:
        return bool(node.scan(code))
    except Failure:
        return False


def test_a_write_that_breaks_off_is_in_doubt_and_the_node_reads_again(
    tmp_path: Path,
) -> None:
    with Daemon(tmp_path / "shop", "merchant", command=wrapped(SMALL)) as shop:
        shop.ready()
        codes = shop.publish(balloons=20, seen="1h")
        acknowledged, failure = fill(shop, codes * 20)
        assert failure.reason in ("disk-full", "store-in-doubt")
        until(lambda: "opens its store again" in shop.log_text())
        until(lambda: cli(shop.home, "status").code == 0)
        assert set(acknowledged) <= set(shop.records())
        assert "Traceback" not in shop.log_text()


def test_two_nodes_that_were_both_stopped_meet_again(
    shop: Daemon, alice: Daemon
) -> None:
    address = shop.up().addresses[0]
    alice.up()
    assert alice.do("peer", "add", address)["connected"]
    until(lambda: shop.do("status")["neighbours"] == 1)
    time.sleep(1.5)  # the peer table is saved every second
    shop.stop()
    alice.stop()
    assert shop.up().addresses[0] == address
    alice.up()
    until(lambda: alice.do("status")["neighbours"] == 1)


def hasty(shop: Daemon, seconds: int) -> str:
    """Publish a campaign of one balloon whose first round ends soon; its code."""
    (code,) = shop.publish(1)
    first = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)
    terms = shop.home / "campaign.toml"
    text = terms.read_text("utf-8")
    for old, new in (
        ("2099-01-01T00:00:00Z", first.isoformat(timespec="seconds")),
        ('accept = "5s"', 'accept = "1s"'),
        ('final  = "10s"', 'final  = "2s"'),
        ('title  = "t"', 'title  = "hasty"'),
    ):
        text = text.replace(old, new)
    terms.write_text(text, "utf-8")
    shop.hasty = shop.do("campaign", "publish", str(terms))["campaign"]  # type: ignore[attr-defined]
    return code


@pytest.mark.long
def test_what_is_erased_is_gone_from_every_disk(shop: Daemon, alice: Daemon) -> None:
    shop.up()
    alice.up()
    code = hasty(shop, 25)
    campaign: str = shop.hasty  # type: ignore[attr-defined]
    link = shop.do("campaign", "invite", campaign)["link"]
    alice.do("campaign", "join", link)
    until(lambda: cli(alice.home, "scan", code).code == 0)

    def mine() -> dict[str, Any]:
        """What Alice's last scan has come to."""
        records = alice.do("campaign", "evidence")["records"]
        return dict(next(one for one in records if one["kind"] == "scan"))

    until(lambda: mine()["receipt"] == "safe")
    scan = mine()
    claim = alice.records()[scan["record"]].claim_bytes
    until(lambda: cli(shop.home, "campaign", "close", campaign).code == 0)
    said = alice.do("campaign", "erase", str(scan["seq"]), "--claim")
    assert (said["record"], said["claim"], said["note"]) == (
        scan["record"],
        True,
        False,
    )
    assert cli(alice.home, "campaign", "erase", "99").code == 1
    until(lambda: mine()["erased"] == "claim")
    names = ("records.sqlite", "records.sqlite-wal")
    files = [node.home / name for node in (shop, alice) for name in names]
    until(lambda: not any(claim in one.read_bytes() for one in files))
    shop.kill()
    shop.up()
    verdicts = [
        shop.do("campaign", "verify", campaign),
        alice.do("campaign", "verify"),
    ]
    for verdict in verdicts:
        (close,) = verdict["closes"]
        assert (verdict["verdict"], close["statement"]) == ("ok", "ok")
        assert (close["not_judged"], close["resting"]) == (1, 500)
    assert verdicts[0]["statement"]["digest"] == verdicts[1]["statement"]["digest"]
    file = alice.home / "erased.bundle"
    alice.do("campaign", "bundle", "--out", str(file))
    assert claim not in file.read_bytes()
    alone = cli(alice.home / "none", "campaign", "verify", str(file))
    assert alone.code == 0
    assert "5.00 CNY granted in this round rest on such rows alone." in alone.out
