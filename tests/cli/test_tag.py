"""`p2pnode tag` as people use it: make, print, list, show, draw; what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cli import codes, i18n, main
from p2pnode import identity, pictures, tag_file
from p2pnode.failures import Failure
from p2pnode.high_water import NO_KEY, Mark
from p2pnode.identity import Identity
from p2pnode.store.mark_file import NAME, MarkFile
from protocols.keys import AuthorKey
from protocols.tags.code import SerialCode, read_code
from protocols.text import author_text

Said = tuple[Any, str]
Run = Callable[..., Said]


@pytest.fixture(autouse=True)
def shop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Identity:
    """A merchant's node in an empty folder."""
    monkeypatch.setenv("P2PNODE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("P2PNODE_LANG", "en")
    monkeypatch.delenv("P2PNODE_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    i18n._catalogue.cache_clear()
    return identity.create(tmp_path / "home", role="merchant", name="Bakery")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*args: str, code: int = 0) -> Said:
        assert main.run(["tag", *args]) == code
        out, err = capsys.readouterr()
        return (json.loads(out) if "--json" in args else out), err

    return call


NEW = ("new", "--group", "balloons", "--count", "3", "--label", "balloon {n}")


def test_from_new_to_show(run: Run, shop: Identity, tmp_path: Path) -> None:
    assert shop.author_key is not None
    made, _ = run(*NEW, "--place", "the old town", "--json")
    assert made["format"] == "p2pnode.tag-new/1"
    assert (made["file"], made["count"]) == ("balloons.tags", 3)
    path = tmp_path / "balloons.tags"
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    tags = tag_file.read(path)
    assert tags.terms_group().root.hex() == made["root"]
    assert tag_file.parse(tag_file.dump(tags), "x") == tags

    listed, _ = run("list", "balloons.tags", "--json")
    assert [tag["label"] for tag in listed["tags"]] == [
        f"balloon {n}" for n in (1, 2, 3)
    ]
    printed, _ = run("print", "balloons.tags", "--out", "pictures", "--json")
    assert len(printed["files"]) == 3
    for file, tag in zip(printed["files"], listed["tags"], strict=True):
        shown, _ = run("show", file, "--json")
        assert shown["tag"] == tag["tag"]
        assert shown["issuer"] == author_text(shop.author_key.author)
        assert shown["place"] == "the old town"
    (text,) = codes.read_argument(printed["files"][0], "T")
    assert isinstance(read_code(text), SerialCode)
    assert run("show", text.lower(), "--json")[0]["tag"] == listed["tags"][0]["tag"]


def test_people_read_what_was_done(run: Run) -> None:
    out, _ = run(*NEW)
    assert "3 tags" in out
    assert "Keep the file" in out
    out, _ = run("list", "balloons.tags")
    assert "balloon 2" in out
    out, _ = run("print", "balloons.tags", "--out", "deep/pictures")
    assert "3 pictures" in out
    out, _ = run("show", "deep/pictures/balloons-003.png")
    assert "balloon 3" in out
    assert "signature is right" in out


def test_printed_tags_and_several_serials(run: Run) -> None:
    run(*NEW, "--carrier", "printed", "--host", author_text(AuthorKey(b"h" * 32)))
    assert len(run("print", "balloons.tags", "--out", "a", "--json")[0]["files"]) == 3
    run(*NEW, "--serials", "2", "--file", "more.tags")
    files = run("print", "more.tags", "--out", "b", "--json")[0]["files"]
    assert len(files) == 6
    assert files[1].endswith("balloons-001-0002.png")


def test_secrets_stay_in_the_file_and_the_pictures(run: Run) -> None:
    run(*NEW)
    tags = tag_file.read(Path("balloons.tags"))
    secret = tags.tags[0].secrets[0].hex()
    for args in (("list", "balloons.tags"), ("list", "balloons.tags", "--json")):
        assert secret not in str(run(*args))


def test_a_tag_file_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    run(*NEW)
    before = (tmp_path / "balloons.tags").read_bytes()
    failed, _ = run(*NEW, "--json", code=1)
    assert failed["reason"] == "file-exists"
    assert (tmp_path / "balloons.tags").read_bytes() == before


def test_a_picture_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    run(*NEW)
    taken = tmp_path / "out" / "balloons-002.png"
    taken.parent.mkdir()
    taken.write_bytes(b"mine")
    print_ = ("print", "balloons.tags", "--out", "out", "--json")
    assert run(*print_, code=1)[0]["reason"] == "file-exists"
    assert taken.read_bytes() == b"mine"


def test_a_resident_cannot_make_tags(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    identity.create(tmp_path / "other", role="resident", name="Alice")
    monkeypatch.setenv("P2PNODE_HOME", str(tmp_path / "other"))
    assert run(*NEW, "--json", code=1)[0]["reason"] == "no-author-key"


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("--label", "x" * 193), "text-size"),
        (("--label", "bell \x07"), "bad-text"),
        (("--group", ""), "text-size"),
        (("--place", "酬" * 65), "text-size"),
        (("--host", "p2p1wrong"), "bad-key"),
    ],
)
def test_what_no_tag_can_say(
    run: Run, tmp_path: Path, args: tuple[str, ...], reason: str
) -> None:
    failed, _ = run(*NEW, *args, "--json", code=1)
    assert failed["reason"] == reason
    assert failed["message"].startswith(f"{args[0]}: ")
    assert not list(tmp_path.glob("*.tags"))


def test_tags_name_the_key_at_work_after_a_loss(
    run: Run, shop: Identity, tmp_path: Path
) -> None:
    mark = MarkFile(tmp_path / "home" / NAME)
    for used, key in enumerate(shop.author_keys[1:], 2):
        mark.write(Mark(store="x", used=used), sync=True)
        run(*NEW, "--file", f"{used}.tags")
        assert tag_file.read(tmp_path / f"{used}.tags").issuer == key.author
    mark.write(Mark(store="x", used=NO_KEY), sync=True)
    mark.close()
    failed, _ = run(*NEW, "--json", code=1)
    assert failed["reason"] == "no-key-left"


@pytest.mark.parametrize(
    ("carrier", "says"), [("serial", "cover it"), ("printed", "photo of a printed")]
)
def test_what_to_mind_is_said_of_the_carrier_that_was_printed(
    run: Run, carrier: str, says: str
) -> None:
    run(*NEW, "--carrier", carrier)
    said, _ = run("print", "balloons.tags", "--out", "pictures")
    assert says in said


def test_group_names_are_not_paths(run: Run, tmp_path: Path) -> None:
    run("new", "--group", "../../气球 / 1", "--count", "1")
    assert [path.name for path in tmp_path.glob("*.tags")] == ["气球-1.tags"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("P2PNODE:T/AAAA", "bad-code"),
        ("P2PNODE:I/SIA4IATBMI", "wrong-kind"),
        ("nothing.png", "no-file"),
    ],
)
def test_show_refuses(run: Run, text: str, reason: str) -> None:
    code = 1 if reason == "no-file" else 3
    failed, _ = run("show", text, "--json", code=code)
    assert failed["reason"] == reason
    assert failed["cure"]


def test_a_forged_issuer_is_said(run: Run, tmp_path: Path) -> None:
    from dataclasses import replace

    from protocols.tags.code import code_text

    run(*NEW)
    (_, texts), *_others = tag_file.read(tmp_path / "balloons.tags").codes()
    found = read_code(texts[0])
    forged = code_text(
        replace(found, entry=replace(found.entry, issuer=AuthorKey(b"x" * 32)))
    )
    failed, _ = run("show", forged, "--json", code=3)
    assert failed["reason"] in {"bad-signature", "bad-code"}
    relabelled = code_text(replace(found, entry=replace(found.entry, label="no")))
    failed, _ = run("show", relabelled, "--json", code=3)
    assert failed["reason"] == "bad-signature"


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-20],
        lambda data: b"[]",
        lambda data: data.replace(b"p2pnode.tags/1", b"p2pnode.tags/2"),
        lambda data: data.replace(b'"group":"balloons"', b'"group":7'),
        lambda data: data.replace(b'"signature":"', b'"signature":"00'),
        lambda data: data.replace(b'"secrets":["', b'"secrets":["00'),
        lambda data: data.replace(b'"secrets":[', b'"secrets":["' + b"0" * 32 + b'",'),
    ],
)
def test_a_damaged_tag_file_is_refused(
    run: Run, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    run(*NEW)
    path = tmp_path / "balloons.tags"
    path.write_bytes(damage(path.read_bytes()))
    failed, _ = run("list", "balloons.tags", "--json", code=1)
    assert failed["reason"] == "bad-tag-file"


def test_draw(run: Run) -> None:
    run("draw", "p2pnode:t/siA4iatbmi", "--out", "x.png", "--caption", "气球")
    assert codes.read_argument("x.png", "T") == ["P2PNODE:T/SIA4IATBMI"]
    failed, _ = run("draw", "P2PNODE:T/AAAA", "--out", "x.png", "--json", code=1)
    assert failed["reason"] == "file-exists"
    failed, _ = run("draw", "x" * 5_000, "--out", "y.png", "--json", code=1)
    assert failed["reason"] == "code-too-long"


# What an argument can be


def test_an_argument_is_a_text_or_a_picture(tmp_path: Path) -> None:
    assert codes.read_argument(" P2PNODE:T/AAAA\n", "T") == ["P2PNODE:T/AAAA"]
    first, second = tmp_path / "1.png", tmp_path / "2.png"
    pictures.draw("P2PNODE:T/FIRST", first)
    pictures.draw("https://example.org", second)
    assert codes.read_argument(str(first), "T") == ["P2PNODE:T/FIRST"]
    assert refused(str(second)) == "foreign-code"

    sheet = Image.new("L", (2_000, 1_000), 255)
    sheet.paste(Image.open(first), (0, 0))
    sheet.paste(Image.open(second), (1_000, 0))
    sheet.save(tmp_path / "3.png")
    assert codes.read_argument(str(tmp_path / "3.png"), "T") == ["P2PNODE:T/FIRST"]

    second.unlink()
    pictures.draw("P2PNODE:T/SECOND", second)
    sheet.paste(Image.open(second), (1_000, 0))
    sheet.save(tmp_path / "3.png")
    assert refused(str(tmp_path / "3.png")) == "several-codes"
    found = codes.read_argument(str(tmp_path / "3.png"), "T", several=True)
    assert sorted(found) == ["P2PNODE:T/FIRST", "P2PNODE:T/SECOND"]


def refused(argument: str) -> str:
    with pytest.raises(Failure) as caught:
        codes.read_argument(argument, "T")
    assert caught.value.expected
    assert caught.value.cure
    return caught.value.reason


def test_bad_pictures(tmp_path: Path) -> None:
    Image.new("L", (99, 99), 255).save(tmp_path / "white.png")
    assert refused(str(tmp_path / "white.png")) == "no-code"
    (tmp_path / "text.png").write_text("no picture")
    assert refused(str(tmp_path / "text.png")) == "bad-picture"
    assert refused("P2PNOD:T/" + "A" * 4_000) == "no-file"
