"""Help in Chinese: columns that align, lines that fit, and no English left over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from cli import frame, i18n, main, output, params, wrapping

Helped = Callable[..., str]

COMMA = "\uff0c"


@pytest.fixture
def helped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Helped]:
    """The help of a command in Chinese, as a new process would say it."""
    monkeypatch.setenv("P2PNODE_LANG", "zh_CN")
    i18n._catalogue.cache_clear()

    def run(*args: str) -> str:
        assert main.run([*args, "--help"]) == 0
        return capsys.readouterr().out

    yield run
    i18n._catalogue.cache_clear()


def test_the_list_of_commands_is_aligned_and_has_no_english_placeholders(
    helped: Helped,
) -> None:
    said = helped()
    assert not re.search(r"\[OPTIONS\]|COMMAND|ARGS", said)
    rows = said.rpartition(i18n._("Commands") + ":")[2].splitlines()[1:]
    found = [re.match(r" +\S+ +", row) for row in rows]
    assert len({output.width(one[0]) for one in found if one}) == 1
    assert all(found)


def test_options_are_aligned_where_their_values_have_chinese_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("P2PNODE_LANG", "zh_CN")
    i18n._catalogue.cache_clear()

    @frame.command("x", "x", example="x")
    @click.argument("voucher")
    @click.argument("file", default="x")
    @click.option("--bundle", help="x")
    @click.option("--count", type=params.Whole(1), help="x")
    @click.option("--on/--off", "auto", help="x")
    def made(**_: Any) -> None:
        """Do nothing."""

    said = made.get_help(click.Context(made))
    i18n._catalogue.cache_clear()
    assert not re.search(r"TEXT|VOUCHER|FILE|OPTIONS|INTEGER", said)
    assert "[文件]" in said
    rows = said[said.rindex("  --json") :].splitlines()
    starts = {output.width(row[: row.index("  ", 3)]) for row in rows}
    assert len({output.width(re.match(r"  .*?  +", row)[0]) for row in rows}) == 1  # type: ignore[index]
    assert len(starts) > 1


@pytest.mark.parametrize(
    "text",
    [
        f"收下顾客的兑付单{COMMA}先存好{COMMA}再告知您。" * 8,
        f"用 p2pnode campaign verify 核对{COMMA}" * 9,
        "words " * 60,
        "x" * 200,
        "「" * 40 + "」" * 40,
        "",
    ],
)
def test_lines_fit_and_nothing_is_lost(text: str) -> None:
    for columns in (12, 40, 78):
        said = wrapping.wrap_text(text, columns, "  ", "    ")
        lines = said.splitlines()
        assert re.sub(r"\s", "", said) == re.sub(r"\s", "", text)
        for line in lines:
            fits = output.width(line) <= columns
            alone = len(wrapping._pieces(line.strip())) <= 1
            assert fits or alone, line
            assert not line.strip().startswith((COMMA, "。"))


def test_paragraphs_stay_apart() -> None:
    assert wrapping.wrap_text("a b\n\nc", preserve_paragraphs=True) == "a b\n\nc"
