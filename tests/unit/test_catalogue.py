"""The Chinese catalogue: complete, faithful to the placeholders, and compiled."""

from __future__ import annotations

import gettext
import io
import os
import re
import subprocess
import sys
import unicodedata
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import i18n, output
from tests import catalogue

SENTENCES = list(catalogue.sentences(catalogue.held()))
CJK = "\u4e00", "\u9fff"


class Fact:
    """Stands for any fact: printed by any format, in any conversion."""

    def __format__(self, spec: str) -> str:
        return "x"

    __str__ = __repr__ = lambda _self: "x"


@pytest.fixture
def chinese(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("P2PNODE_LANG", "zh_CN")
    i18n._catalogue.cache_clear()
    yield
    i18n._catalogue.cache_clear()


def is_chinese(text: str) -> bool:
    return any(CJK[0] <= character <= CJK[1] for character in text)


@pytest.mark.untraced
def test_every_sentence_is_translated_and_compiled() -> None:
    wrong = catalogue.faults()
    assert not wrong, "\n".join(["", *wrong])


def test_both_languages_take_the_same_facts() -> None:
    facts: dict[str, Fact] = defaultdict(Fact)
    for message in SENTENCES:
        source, *others = catalogue.last(message.id), *catalogue.forms(message)
        names = catalogue.fields(source)
        for text in (source, *others):
            assert catalogue.fields(text) == names, (message.id, text)
            if names:  # a text without facts is never formatted
                text.format_map(facts)


def test_no_translation_steers_a_terminal() -> None:
    for message in SENTENCES:
        for form in catalogue.forms(message):
            steering = [
                c for c in form if unicodedata.category(c) in output.UNPRINTABLE
            ]
            assert not steering, (message.id, steering)


def test_a_translation_keeps_the_commands_and_options_of_its_source() -> None:
    def said(text: str) -> set[str]:
        words = text.replace("'", " ").replace("`", " ").split()
        words = [word.strip(".,;:()[]") for word in words]
        return {w for w in words if w.isascii() and w.startswith(("--", "P2PNODE"))}

    for message in SENTENCES:
        for form in catalogue.forms(message):
            for word in said(catalogue.last(message.id)):
                assert word in form, (message.id, word)


GLOSSARY = {
    "sponsor": "酬主",
    "campaign": "活动",
    "terms": "条款",
    "stage": "环节",
    "evidence": "证据",
    "outcome": "成果",
    "referral chain": "推荐链",
    "inviter": "邀请人",
    "reward": "酬报",
    "charity": "慈善",
    "voucher": "凭证",
    "redeem": "兑付",
    "neighbour": "邻居",
    "feed": "记录链",
    "statement": "结算单",
}


@pytest.mark.parametrize("term", GLOSSARY)
def test_one_term_has_one_translation(term: str) -> None:
    # Commands, keys of files and placeholders are not words.
    code = r"\{[^}]*\}|\[\[\w+\]\]|p2pnode( [a-z]+)*|P2PNODE\S*|--\S+|\w+ = \S+"
    for message in SENTENCES:
        plain = re.sub(code, "", catalogue.last(message.id))
        if re.search(rf"\b{term}s?\b", plain, re.IGNORECASE):
            for form in catalogue.forms(message):
                assert GLOSSARY[term] in form, message.id


def test_usage_keeps_the_ascii_colon_that_main_splits_at() -> None:
    (usage,) = catalogue.forms(catalogue.held()["Usage:"])
    assert usage.endswith(":")


def test_the_files_name_no_date_and_no_tool() -> None:
    for data in (catalogue.PO.read_bytes(), catalogue.MO.read_bytes()):
        assert b"-Date:" not in data
        assert b"Generated-By:" not in data


def test_the_standard_library_reads_it() -> None:
    found = gettext.GNUTranslations(io.BytesIO(catalogue.MO.read_bytes()))
    assert found.gettext("Stopped.") == "已停止。"
    one, many = next(text for text in catalogue.CLICK if isinstance(text, tuple))
    assert found.ngettext(one, many, 1) == found.ngettext(one, many, 2)
    assert is_chinese(found.ngettext(one, many, 2))


SOURCE = """
class Odd(Failure):
    def __init__(self, place):
        super().__init__("odd", "odd {place}" " told", cure="odd cure", place=place)

class Even(Failure):
    pass

def _refusal(reason, expected):
    return Failure(reason, "refused" if expected else "declined", expected)

def _other(text):
    raise ValueError("not for people")

_("looked up").format(x=1)
plural("one", "{n} many", n)
words("marked")
Even("even", "even message", "", f"computed {x}")
raise _refusal("why", "expected by name")
Odd("a place")
_other("not this")
"""


def test_the_extractor_finds_what_people_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = "class Failure(Exception):\n def __init__(self, reason, message,"
    base += " expected='', cure='', **facts): ..."
    for name, text in {"p2pnode/failures": base, "cli/odd": SOURCE}.items():
        path = tmp_path / f"{name}.py"
        path.parent.mkdir()
        path.write_text(text, "utf-8")
    monkeypatch.setattr(catalogue, "ROOT", tmp_path)
    found = set(catalogue.sources()) - set(catalogue.CLICK)
    assert found == {
        *("odd {place} told", "odd cure", "refused", "declined", "looked up"),
        *("marked", "even message", "expected by name", ("one", "{n} many")),
    }
    lines = catalogue.faults()
    assert "Not in the .po: 'looked up' (cli/odd.py)" in lines
    assert catalogue.COMMAND in lines[-1]


@pytest.mark.untraced
def test_a_sentence_that_comes_back_is_translated_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = catalogue.merged()
    monkeypatch.setattr(catalogue, "PO", tmp_path / "p2pnode.po")
    said = catalogue.sources()
    for texts in ({k: v for k, v in said.items() if k != "Stopped."}, said):
        monkeypatch.setattr(catalogue, "sources", lambda texts=texts: texts)
        catalogue.PO.write_bytes(catalogue.written(before))
        before = catalogue.merged()
        assert ("Stopped." in before) == (texts is said)
        assert ("Stopped." in before.obsolete) == (texts is not said)
    assert catalogue.forms(before["Stopped."]) == ("已停止。",)


def test_help_is_chinese(tmp_path: Path) -> None:
    environment = {**os.environ, "P2PNODE_HOME": str(tmp_path), "PYTHONUTF8": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "cli.main", "--help"],
        cwd=catalogue.ROOT,
        env=environment | {"P2PNODE_LANG": "zh_CN"},
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=30,
    )
    commands = done.stdout.partition("命令:")[2].strip().splitlines()
    assert len(commands) > 5
    assert all(is_chinese(line) and output.width(line) <= 80 for line in commands)


@pytest.mark.usefixtures("chinese")
def test_a_chinese_table_stays_aligned() -> None:
    header = [i18n._("label"), i18n._("carrier"), i18n._("number")]
    assert all(map(is_chinese, header))
    rows = [("一号气球 No. 1", "serial", 1), ("balloon", "打印", 10)]
    lines = output.table(header, rows)
    assert len({output.width(line) for line in lines}) == 1
    second = [header[1], "serial", "打印"]
    starts = [
        output.width(line[: line.index(cell)])
        for line, cell in zip(lines, second, strict=True)
    ]
    assert len(set(starts)) == 1
