"""Collects what can be translated: `python -m tests.catalogue [--check]`.

Read from the source of `cli` and `p2pnode`, importing none of it:

* constants in calls of `_`, `plural` and `words`;
* constants given as `message`, `expected` or `cure` to `Failure`, to its
  subclasses, and to functions of the same module with parameters so named;
* what click says and people see, as listed in `CLICK`.

A new string is added to the .po with an empty translation, one that nobody
says any more becomes obsolete (and comes back with its translation), and the
.mo is compiled. With --check nothing is written. The exit code is 1 as long as
anything is missing.
"""

from __future__ import annotations

import argparse
import ast
import io
import string
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT: Final = Path(__file__).parents[1]
PO: Final = ROOT / "cli/locale/zh_CN/LC_MESSAGES/p2pnode.po"
MO: Final = PO.with_suffix(".mo")
NAME: Final = PO.relative_to(ROOT).as_posix()
COMMAND: Final = "python -m tests.catalogue"

COMMENT: Final = f"# Chinese of p2pnode. After an edit run: {COMMAND}"
HEADER: Final = """\
Project-Id-Version: p2pnode
Language: zh_CN
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit
Plural-Forms: nplurals=1; plural=0;
"""
"""No date and no tool's version: the same strings make the same bytes."""

Text = str | tuple[str, str]
"""A sentence, or one sentence for one thing and one for many."""

Signature = Sequence[str]
"""Names of a call's parameters, in order."""

SPOKEN: Final = frozenset({"message", "expected", "cure"})
"""Parameters whose text people read."""

CLICK: Final[Sequence[Text]] = (
    "Commands",
    "Invalid value for {param_hint}: {message}",
    "Invalid value: {message}",
    "Missing argument",
    "Missing command.",
    "Missing option",
    "No such command {name!r}.",
    "No such option {name!r}.",
    "Option {name!r} does not take a value.",
    "Options",
    "Positional arguments",
    "Show the version and exit.",
    "Show this message and exit.",
    "Usage:",
    "default: {default}",
    "directory",
    "file",
    "path",
    "required",
    "{name} {filename!r} does not exist.",
    "{name} {filename!r} is a directory.",
    "{name} {filename!r} is a file.",
    "{name} {filename!r} is not readable.",
    "{value!r} is not a valid {number_type}.",
    "{value} is not in the range {range}.",
    ("Did you mean {possibility}?", "(Did you mean one of: {possibilities}?)"),
    (
        "Got unexpected extra argument ({args})",
        "Got unexpected extra arguments ({args})",
    ),
    (
        "Option {name!r} requires an argument.",
        "Option {name!r} requires {nargs} arguments.",
    ),
    ("{value!r} is not {choice}.", "{value!r} is not one of {choices}."),
)
"""As click 8 spells them; one it spells otherwise is shown in English."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring .po and .mo up to date, or only say whether they are."""
    parser = argparse.ArgumentParser(prog=COMMAND)
    parser.add_argument("--check", action="store_true", help="write nothing")
    if not parser.parse_args(arguments).check:
        PO.parent.mkdir(parents=True, exist_ok=True)
        catalogue = merged()
        PO.write_bytes(written(catalogue))
        MO.write_bytes(compiled(catalogue))
    wrong = faults()
    for line in wrong:
        print(line)
    return 1 if wrong else 0


def faults() -> list[str]:
    """Return what is wrong with the files as they are, and the cure; best: []."""
    catalogue = held()
    wrong = [
        f"Not in the .po: {text!r} ({', '.join(files)})"
        for text, files in sources().items()
        if first(text) not in catalogue
    ]
    for message in sentences(catalogue):
        if not _is_done(message):
            wrong.append(f"Not translated: {message.id!r}")
        elif any(fields(form) != fields(last(message.id)) for form in forms(message)):
            wrong.append(f"Other {{names}} than the English: {message.id!r}")
    if wrong:
        return [*wrong, f"Run '{COMMAND}', mend the msgstr in {NAME}, run it again."]
    if not MO.exists() or MO.read_bytes() != compiled(catalogue):
        return [f"{MO.name} does not fit {NAME}.", f"Run '{COMMAND}'."]
    return []


# The catalogue


class Plain(Catalog):
    """A catalogue whose header is HEADER and nothing else."""

    def __iter__(self) -> Iterator[Message]:
        """Yield the header, then every message."""
        yield Message("", HEADER)
        yield from sentences(super().__iter__())


def held() -> Plain:
    """Return what is in the .po; nothing if there is none."""
    found = Plain("zh_CN", header_comment=COMMENT)
    if PO.exists():
        parsed = read_po(io.BytesIO(PO.read_bytes()))
        for message in sentences(parsed):
            found[message.id] = message
        found.obsolete = parsed.obsolete
    return found


def merged() -> Plain:
    """Return what is in the .po, with exactly the sentences of the source."""
    template = Plain("zh_CN")
    for text, files in sources().items():
        template.add(text, locations=[(file, 0) for file in files])
    catalogue = held()
    catalogue.update(template, no_fuzzy_matching=True)
    for message in sentences(catalogue):
        old = catalogue.obsolete.pop(first(message.id), None)
        if old is not None and not _is_done(message):
            message.string = old.string
    for name, old in [*catalogue.obsolete.items()]:
        if not _is_done(old):
            del catalogue.obsolete[name]
    return catalogue


def written(catalogue: Plain) -> bytes:
    """Return the .po."""
    out = io.BytesIO()
    write_po(out, catalogue, width=0, sort_output=True, include_lineno=False)
    return out.getvalue()


def compiled(catalogue: Plain) -> bytes:
    """Return the .mo."""
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


def sentences(catalogue: Iterable[Message]) -> Iterator[Message]:
    """Yield every message but the header."""
    return (message for message in catalogue if message.id)


def first(text: str | Sequence[str]) -> str:
    """Return the English that names an entry."""
    return text if isinstance(text, str) else text[0]


def last(text: str | Sequence[str]) -> str:
    """Return the English for many; it has every placeholder."""
    return text if isinstance(text, str) else text[-1]


def forms(message: Message) -> Sequence[str]:
    """Return the translations of one message; untranslated: an empty text."""
    return (
        (message.string,) if isinstance(message.string, str) else message.string or ()
    )


def _is_done(message: Message) -> bool:
    translated = forms(message)
    return bool(translated) and all(translated) and not message.fuzzy


def fields(template: str) -> list[tuple[str, str | None, str | None]]:
    """Return (name, format, conversion) of every {name}, sorted."""
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:  # a single brace
        return [("{", "", "")]
    return sorted((n, spec, how or "") for _, n, spec, how in parts if n is not None)


# The source


def sources() -> dict[Text, list[str]]:
    """Return every text with the files that say it, both sorted."""
    paths = [p for name in ("cli", "p2pnode") for p in (ROOT / name).rglob("*.py")]
    trees = {path: ast.parse(path.read_bytes()) for path in sorted(paths)}
    failures = _failures(trees.values())
    found: dict[Text, list[str]] = {text: ["click"] for text in CLICK}
    for path, tree in trees.items():
        file = path.relative_to(ROOT).as_posix()
        for text in sorted(set(_said(tree, failures)), key=first):
            found.setdefault(text, []).append(file)
    return dict(sorted(found.items(), key=lambda item: first(item[0])))


Classes = Mapping[str, Signature]
"""Failure and its subclasses, with the parameters of their constructors."""


def _failures(trees: Iterable[ast.Module]) -> Classes:
    classes = [n for t in trees for n in ast.walk(t) if isinstance(n, ast.ClassDef)]
    found: dict[str, Signature] = {}
    size = -1
    while len(found) > size:  # a subclass may be read before its base
        size = len(found)
        for made in classes:
            bases = [_name(base) for base in made.bases if _name(base) in found]
            if made.name not in found and (bases or made.name == "Failure"):
                found[made.name] = _constructor(made) or found[bases[0]]
    return found


def _constructor(made: ast.ClassDef) -> Signature:
    for node in made.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            return _parameters(node)
    return ()


def _parameters(function: ast.FunctionDef) -> Signature:
    names = [parameter.arg for parameter in function.args.args]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def _said(tree: ast.Module, failures: Classes) -> Iterator[Text]:
    """Yield the texts of one module."""
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    known = {
        function.name: _parameters(function)
        for function in functions
        if function.name != "__init__" and SPOKEN & set(_parameters(function))
    }
    known |= failures
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and node.name in failures:
            bases = [_name(base) for base in node.bases if _name(base) in failures]
            for call in (
                c for c in ast.walk(node) if bases and isinstance(c, ast.Call)
            ):
                if ast.unparse(call.func) == "super().__init__":
                    yield from _spoken(call, failures[bases[0]])
        elif isinstance(node, ast.Call):
            yield from _of_call(node, known)


def _of_call(call: ast.Call, known: Mapping[str, Signature]) -> Iterator[Text]:
    match _name(call.func), call.args:
        case "plural", [ast.Constant(value=str(one)), ast.Constant(value=str(many)), _]:
            yield one, many
        case (("_" | "words"), [text]):
            yield from _constants(text)
        case name, _ if name in known:
            yield from _spoken(call, known[name])
        case _:
            pass


def _spoken(call: ast.Call, signature: Signature) -> Iterator[Text]:
    pairs = [*zip(signature, call.args, strict=False)]
    pairs += [(word.arg or "", word.value) for word in call.keywords]
    for name, value in pairs:
        if name in SPOKEN:
            yield from _constants(value)


def _constants(node: ast.expr) -> Iterator[str]:
    """Yield the texts an expression can be; one that is computed has none."""
    match node:
        case ast.Constant(value=str(text)) if text:
            yield text
        case ast.IfExp():
            yield from _constants(node.body)
            yield from _constants(node.orelse)
        case ast.BoolOp():
            for value in node.values:
                yield from _constants(value)
        case _:
            pass


def _name(node: ast.expr) -> str:
    """Return the last part of a dotted name."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case _:
            return ""


if __name__ == "__main__":
    sys.exit(main())
