"""Backups: whole or refused, restored whole or not at all, and no key in clear."""

from __future__ import annotations

import io
import json
import os
import tarfile
import warnings
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio

from p2pnode import backup
from p2pnode import identity as identities
from p2pnode.api.folder import STORE_FILE, locked
from p2pnode.failures import Failure
from p2pnode.high_water import LOSS
from p2pnode.services.feeds import Draft, Feeds
from p2pnode.store import mark_file
from p2pnode.store.mark_file import MarkFile
from p2pnode.store.sqlite import open_store
from p2pnode.system import SystemClock, SystemRng
from protocols.claims import Announce, Kind
from protocols.keys import Scope
from tests.nodes import cli
from tests.worlds import salt_of

SCOPE = Scope(b"s" * 32)
WORDS = "correct horse"


async def fill(home: Path, records: int) -> None:
    """Sign so many records."""
    keys = identities.load(home)
    mark = MarkFile(home / mark_file.NAME, due=True)
    store = await open_store(home / STORE_FILE, mark=mark)
    feeds = Feeds(store, keys.network_id, SystemClock(), SystemRng())
    await feeds.open()
    await feeds.follow(SCOPE)
    drafts = [
        Draft(
            kind=Kind.ANNOUNCE,
            claim=Announce(
                salt=salt_of(str(n)), campaign=SCOPE, title=f"secret{n}", link=""
            ),
        )
        for n in range(records)
    ]
    assert keys.author_key is not None
    await feeds.publish_many(keys.author_key, SCOPE, drafts)
    await store.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "shop"
    identities.create(made, role="merchant", name="Shop", network="test")
    trio.run(fill, made, 3)
    return made


@pytest.fixture
def file(home: Path, tmp_path: Path) -> Path:
    return create(home, tmp_path / "node.backup")


def create(home: Path, out: Path, **how: Any) -> Path:
    wanted = {"passphrase": WORDS, **how}
    backup.create(home, out, lambda path: backup.copy_at_rest(home, path), **wanted)
    return out


def refused(file: Path, where: Path) -> str:
    """Why a file is neither verified nor restored; nothing is left of it."""
    with pytest.raises(Failure) as caught:
        backup.verify(file, WORDS)
    with pytest.raises(Failure) as again:
        backup.restore(file, where, WORDS)
    assert again.value.reason == caught.value.reason
    assert not where.exists() or not any(where.iterdir())
    return caught.value.reason


async def why_lost(home: Path) -> str | None:
    keys = identities.load(home, WORDS)
    mark = MarkFile(home / mark_file.NAME, due=keys.marked)
    store = await open_store(home / STORE_FILE, mark=mark)
    state = await store.state(LOSS)
    records = (await store.counts())["records"]
    await store.close()
    assert records == 3
    return json.loads(state[LOSS])["why"] if LOSS in state else None


def test_it_comes_back_whole_and_never_continues(home: Path, file: Path) -> None:
    assert file.stat().st_mode & 0o077 == 0
    header = backup.verify(file)
    assert (header.records, header.feeds, header.name) == (3, 1, "Shop")
    assert backup.verify(file, WORDS) == header
    new = home.parent / "new"
    backup.restore(file, new, WORDS)
    assert sorted(path.name for path in new.iterdir()) == sorted(
        [STORE_FILE, mark_file.NAME, identities.FILE]
    )
    keys, old = identities.load(new, WORDS), identities.load(home)
    assert [k.author for k in keys.author_keys] == [k.author for k in old.author_keys]
    assert keys.root_seed == old.root_seed
    assert trio.run(why_lost, new) == "restored"
    assert trio.run(why_lost, home) is None, "the node that was backed up goes on"


def test_nothing_secret_is_in_clear(home: Path, file: Path, tmp_path: Path) -> None:
    seeds = json.loads((home / identities.FILE).read_text())["seeds"]
    data = file.read_bytes()
    for seed in seeds.values():
        assert seed.encode() not in data
        assert bytes.fromhex(seed) not in data
    head = data.split(b"\n")[1]
    assert b"secret0" not in head
    with pytest.raises(Failure) as caught:
        create(home, tmp_path / "x", passphrase=None)
    assert caught.value.reason == "passphrase-needed"
    assert not (tmp_path / "x").exists()
    clear = create(home, tmp_path / "clear", passphrase=None, in_clear=True)
    assert not backup.verify(clear).sealed
    assert seeds["root"].encode() in clear.read_bytes()


def test_sealed_keys_stay_sealed_by_their_own_passphrase(tmp_path: Path) -> None:
    home = tmp_path / "sealed"
    identities.create(home, role="resident", name="A", passphrase=WORDS)
    file = create(home, tmp_path / "b", passphrase=None)
    assert backup.verify(file, WORDS).sealed
    for wrong, reason in (("other", "wrong-passphrase"), (None, "keys-sealed")):
        with pytest.raises(Failure) as caught:
            backup.restore(file, tmp_path / "new", wrong)
        assert caught.value.reason == reason
        assert not any((tmp_path / "new").iterdir())
    backup.restore(file, tmp_path / "new", WORDS)


def test_only_an_empty_folder_is_restored_into(home: Path, file: Path) -> None:
    before = {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}
    with pytest.raises(Failure) as caught:
        backup.restore(file, home, WORDS)
    assert caught.value.reason == "home-not-empty"
    after = {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}
    assert before == after


def test_a_file_is_never_written_over(home: Path, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(Failure) as caught:
        create(home, file)
    assert caught.value.reason == "file-exists"
    assert file.read_bytes() == before


def test_a_running_node_is_not_copied_behind_its_back(home: Path) -> None:
    with locked(home), pytest.raises(Failure) as caught:
        backup.copy_at_rest(home, home.parent / "copy")
    assert caught.value.reason == "folder-in-use"


def test_every_damage_is_one_clear_error(file: Path, tmp_path: Path) -> None:
    data = file.read_bytes()
    places = [*range(0, 700, 23), *range(700, len(data), 4_001), len(data) - 1]
    bad = tmp_path / "bad"
    for place in places:
        harmed = bytearray(data)
        harmed[place] ^= 1
        bad.write_bytes(harmed)
        with pytest.raises(Failure) as caught:
            backup.verify(bad)
        assert caught.value.reason in ("backup-damaged", "not-a-backup")
    for cut in (0, 5, 100, len(data) // 2, len(data) - 1):
        bad.write_bytes(data[:cut])
        assert refused(bad, tmp_path / "new") in ("backup-damaged", "not-a-backup")
    bad.write_bytes(data + b"x")
    assert refused(bad, tmp_path / "new") == "backup-damaged"


def archive(kind: str) -> bytes:
    """What others call a backup, with a way out of the folder in it."""
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("../../evil", b"\0" * 10**7)
    else:
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            link = tarfile.TarInfo("../link")
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(link)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["zip", "tar"])
def test_archives_of_others_are_not_opened(kind: str, tmp_path: Path) -> None:
    (tmp_path / "evil").write_bytes(archive(kind))
    assert refused(tmp_path / "evil", tmp_path / "new") == "not-a-backup"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_what_is_no_plain_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nothing"):
        assert refused(path, tmp_path / "new") == "not-a-backup"


def forged(file: Path, out: Path, change: Any) -> Path:
    """A backup with other content, all its sums made right again."""
    data = file.read_bytes()
    line = data.split(b"\n")[1] + b"\n"
    fields = json.loads(line)
    fields.pop("format")
    start = len(backup.MAGIC) + len(line)
    identity = data[start : start + fields["identity_bytes"]]
    store = data[start + fields["identity_bytes"] : -backup.DIGEST]
    identity, store = change(fields, identity, store)
    fields["identity_bytes"], fields["store_bytes"] = len(identity), len(store)
    fields["identity_sha256"] = sha256(identity).hexdigest()
    fields["store_sha256"] = sha256(store).hexdigest()
    header = backup.Header(**{**fields, "authors": tuple(fields["authors"])})
    body = backup.MAGIC + header.line() + identity + store
    out.write_bytes(body + sha256(body).digest())
    return out


def no_sum(*_: Any) -> int:
    """The store's own function, which an index of its schema may name."""
    return 0


def by_sql(sql: str) -> Any:
    """A change of the store by a statement."""

    def change(_fields: Any, identity: bytes, store: bytes) -> tuple[bytes, bytes]:
        path = Path(os.environ["PYTEST_TMP"]) / "forged.sqlite"
        path.write_bytes(store)
        connection = apsw.Connection(str(path))
        connection.create_scalar_function("crc32", no_sum, 1, deterministic=True)
        connection.execute(sql)
        connection.pragma("wal_checkpoint(TRUNCATE)")
        connection.close()
        return identity, path.read_bytes()

    return change


def lying(name: str, value: Any) -> Any:
    def change(fields: Any, identity: bytes, store: bytes) -> tuple[bytes, bytes]:
        fields[name] = value
        return identity, store

    return change


FORGERIES = {
    "a signature": by_sql(
        "UPDATE records SET signature = zeroblob(64), signature_sum = 1489118142"
    ),
    "a gap": by_sql("DELETE FROM records WHERE seq = 1"),
    "a trigger": by_sql(
        "CREATE TRIGGER evil AFTER INSERT ON state BEGIN DELETE FROM records; END"
    ),
    "no store": lambda _f, identity, _s: (identity, b"x" * 100_000),
    "no keys": lambda _f, _i, store: (b"[]", store),
    "deep keys": lambda _f, _i, store: (b"[" * 60_000, store),
    "another's name": lying("name", "Bank"),
    "more records": lying("records", 4),
    "a time that is none": lying("made_ms", "now"),
    "a negative size": lying("campaigns", -1),
}


@pytest.mark.parametrize("what", FORGERIES)
def test_a_forgery_with_right_sums_is_refused(
    what: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTEST_TMP", str(tmp_path))
    bad = forged(file, tmp_path / "forged", FORGERIES[what])
    assert refused(bad, tmp_path / "new") == "backup-damaged"


STEPS = ("open", "write", "fsync", "rename", "mkdir")


def killed_at(step: int, run: Any) -> bool:
    """Run in a child that is killed at a step of the disk; whether it was."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads of the runner
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    left = [step]

    def counting(real: Any) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            if not left[0]:
                os._exit(9)
            left[0] -= 1
            return real(*args, **named)

        return call

    try:
        for name in STEPS:
            setattr(os, name, counting(getattr(os, name)))
        run()
    finally:
        os._exit(0)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork to kill")
def test_a_restore_that_is_killed_anywhere_leaves_no_node_or_a_whole_one(
    home: Path, tmp_path: Path
) -> None:
    file = create(home, tmp_path / "clear", passphrase=None, in_clear=True)
    whole = 0
    for step in range(200):
        new = tmp_path / f"new{step}"
        killed = killed_at(step, lambda: backup.restore(file, new, WORDS))  # noqa: B023
        if (new / identities.FILE).exists():
            whole += 1
            assert identities.load(new, WORDS).name == "Shop"
        else:
            backup.restore(file, new, WORDS)
        assert trio.run(why_lost, new) == "restored", step
        if not killed:
            break
    else:
        pytest.fail("it never ended")
    assert step > 10
    assert whole > 1


def test_the_command_says_what_it_did(home: Path, tmp_path: Path) -> None:
    words = tmp_path / "words"
    words.write_text(WORDS)
    out = tmp_path / "by-hand.backup"
    assert cli(home, "backup", "create", str(out)).code == 1
    sealed = ("--passphrase-file", str(words))
    made = cli(home, "backup", "create", *sealed, str(out), "--json")
    assert made.code == 0, made.out
    assert made.document["records"] == 3
    assert cli(home, "backup", "verify", str(out)).code == 0
    (tmp_path / "not").write_bytes(b"x")
    assert cli(home, "backup", "verify", str(tmp_path / "not")).code == 3
    new = tmp_path / "elsewhere"
    assert cli(new, "backup", "restore", *sealed, str(out)).code == 0
    said = cli(new, "doctor", "--json").document["findings"]
    assert any("backup was restored" in each["text"] for each in said)
    assert len(cli(home, "key", "list", "--json").document["keys"]) == 2
    assert cli(home, "key", "add", "--json").document["all"] == 3
    assert len(identities.load(home).author_keys) == 3
