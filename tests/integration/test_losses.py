"""Real nodes, killed and restored from an hour-old backup, here or elsewhere."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from p2pnode import identity
from p2pnode.swarm.supervisor import NODE, Process
from tests.nodes import Daemon, cli, until, wrapped

pytestmark = [pytest.mark.net, pytest.mark.slow]

ELSEWHERE = """
from p2pnode.store import mark_file
mark_file.machine = lambda: "elsewhere"
"""
"""A node on another machine."""


class Found(Daemon):
    """A node on a folder that has keys already."""

    def __init__(self, home: Path, **how: Any) -> None:
        self.keys = identity.load(home)
        Process.__init__(self, home, **how)


def codes(node: Daemon) -> list[str]:
    """What its status says of its campaigns."""
    return [trouble["code"] for trouble in node.do("status")["troubles"]]


def same(one: Daemon, other: Daemon) -> bool:
    """Whether both hold the same records of their campaign."""
    return bool(one.records()) and set(one.records()) == set(other.records())


def joined(shop: Daemon, alice: Daemon) -> list[str]:
    """Have a shop publish and alice join; return the codes of the balloons."""
    shop.ready()
    alice.ready()
    found = shop.publish(balloons=4, seen="100ms")
    alice.do("campaign", "join", shop.do("campaign", "invite")["link"])
    until(lambda: cli(alice.home, "campaign", "show").code == 0)
    until(lambda: same(shop, alice))
    return found


def no_fork(*nodes: Daemon) -> None:
    held: dict[tuple[bytes, bytes, int], set[bytes]] = {}
    for node in nodes:
        assert node.do("status")["forks"] == 0
        for record in node.records().values():
            place = (record.scope, record.author, record.seq)
            held.setdefault(place, set()).add(record.id)
    assert all(len(ids) == 1 for ids in held.values())


@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_hour_old_backup_makes_no_fork_and_no_second_person(
    tmp_path: Path, elsewhere: bool
) -> None:
    out = tmp_path / "node.backup"
    with Daemon(tmp_path / "shop", "merchant") as shop:
        with Daemon(tmp_path / "alice") as alice:
            tags = joined(shop, alice)
            created = alice.do("backup", "create", "--keys-in-clear", str(out))
            assert created["campaigns"] == 1
            assert alice.do("backup", "verify", str(out))["keys_opened"]
            alice.scan(tags[0])
            until(lambda: same(shop, alice))
            alice.kill()
        home = tmp_path / "again"
        assert cli(home, "backup", "restore", str(out)).code == 0
        command = wrapped(ELSEWHERE) if elsewhere else NODE
        with Found(home, command=command) as again:
            again.ready()
            until(lambda: codes(again) == ["continued"])
            assert "A backup was restored" in cli(home, "status").out
            again.scan(tags[1])
            until(lambda: same(shop, again))
            no_fork(shop, again)
            people = [r for r in shop.records().values() if r.kind == 3]
            assert len(people) == 1, "one further key, of the person that joined"
            roots = {r.claim().root for r in people}
            assert roots == {r.author for r in shop.records().values() if r.kind == 2}
            again.kill()
            again.up()
            assert codes(again) == ["continued"], "a kill is no loss"


def test_a_copied_folder_and_a_shop_without_its_records(tmp_path: Path) -> None:
    with Daemon(tmp_path / "shop", "merchant") as shop:
        with Daemon(tmp_path / "alice") as alice:
            tags = joined(shop, alice)
            alice.stop()
            shutil.copytree(alice.home, tmp_path / "copy")
            alice.up()
            with Found(tmp_path / "copy") as copy:
                copy.ready()
                until(lambda: codes(copy) == ["continued"])
                alice.scan(tags[0])
                copy.scan(tags[1])
                until(lambda: same(shop, alice) and same(shop, copy))
                no_fork(shop, alice, copy)
                assert codes(alice) == [], "who was copied goes on as before"
        first = shop.do("status")["author"]
        shop.kill()
        (shop.home / "records.sqlite").unlink()
        shop.up()
        status = shop.do("status")
        assert status["author"] != first
        assert [loss["why"] for loss in status["losses"]] == ["another-store"]
        found = cli(shop.home, "doctor").out
        assert "The records' file was missing" in found
