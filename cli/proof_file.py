"""Proof files at `p2pnode campaign verify`: where they are written, what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from cli import accounts, client, home, output
from cli.i18n import _
from cli.reasons import reason
from cli.words import word
from p2pnode.failures import NOT_FOUND, Failure

Document = dict[str, Any]

FORMAT: Final = b"p2pnode.proof/"
FORMAT_WITHIN: Final = 32
"""Bytes from the beginning within which a proof file names its format."""

FOLDER: Final = "proofs"
"""In the data folder: proofs that nobody gave another place."""


def is_proof(path: Path) -> bool:
    """Whether a file begins as a proof file does."""
    with path.open("rb") as file:
        return FORMAT in file.read(FORMAT_WITHIN)


def show(path: Path, *, as_json: bool) -> None:
    """Say what a proof file proves, with no node and no network.

    Raises:
        ProtocolError: it proves nothing.
        OSError: it cannot be read.
    """
    from p2pnode.services import documents
    from protocols.proof import check_proof

    with path.open("rb") as file:
        found = check_proof(iter(lambda: file.read(1 << 16), b""))
    answer = documents.proven(found)
    answer["proof"] = {"kind": answer["kind"], "file": str(path)}
    if as_json:
        output.as_json(answer)
        return
    output.say(answer["title"], _("id {id}").format(id=answer["campaign"]))
    output.say(sentence(answer), colour="red")
    for key, name in zip(answer["culprits"], answer["names"], strict=True):
        output.say(
            _("Signed by {key} ({role}{name}).").format(
                key=key,
                role=word(answer["standing"]),
                name=f", {name}" if name else "",
            )
        )


def sentence(answer: Document) -> str:
    """What a proof proves, in one sentence."""
    rounds = ", ".join(str(number) for number in answer["rounds"])
    author = accounts.short(answer["author"] or "")
    template = {
        "double-close": _("Two closes were signed where one may be: round {round}."),
        "statement": _(
            "The close of round {round} does not follow from its cut: {why}."
        ),
        "finals": _("The close of round {round} names finals that are none."),
        "omitted": _(
            "The close of round {round} leaves out records of {author} that its own"
            " witnesses saw in time."
        ),
        "padded": _(
            "The close of round {round} counts records of {author} that its own"
            " witnesses did not see in time."
        ),
        "misdated": _(
            "The close of round {round} counts records of {author} at another time"
            " or place than its own witnesses saw them."
        ),
        "forks-list": _(
            "The close of round {round} says of {author} what its own witnesses do not"
            " say: who forked."
        ),
        "fork": _("Two records were signed at one place of a feed: number {seq}."),
    }[answer["kind"]]
    return template.format(
        round=rounds,
        author=author,
        seq=answer["seq"],
        why=reason(answer["reason"]),
    )


def from_node(campaign: str, wanted: str, answer: Document) -> Document | None:
    """Have the node write the gravest proof it has, if any.

    Returns:
        Its kind and file; None: there is nothing to prove, or, unless a file was
        asked for, it cannot be written: the verdict matters more.

    Raises:
        Failure: as `client.download`, or `nothing-proven`; only if a file was
            asked for.
    """
    gravest = _gravest(wanted, answer)
    if gravest is None:
        return None
    path = Path(wanted) if wanted else home.folder() / FOLDER / _name(gravest)
    if wanted or not path.exists():
        query = {"kind": gravest["kind"]}
        try:
            if not wanted:
                path.parent.mkdir(exist_ok=True)
            client.download(client.campaign(campaign, "proof", **query), path)
        except (Failure, OSError):
            if wanted:
                raise
            return None
    return {"kind": gravest["kind"], "file": str(path)}


def from_bundle(
    bundle: Path, wanted: str, view: Any, answer: Document
) -> Document | None:
    """As `from_node`, of a bundle: beside it unless told where."""
    from p2pnode.services import closing, proofs
    from protocols.errors import ProtocolError
    from protocols.settlement.cut import Incomplete

    gravest = _gravest(wanted, answer)
    if gravest is None:
        return None
    path = Path(wanted) if wanted else bundle.with_name(_name(gravest))
    if wanted or not path.exists():
        charge, *_others = proofs.find(view, closing.verify(view))
        try:
            _write(path, proofs.proof_file(view, charge))
        except (Failure, ProtocolError, Incomplete):
            if wanted:
                raise
            return None
    return {"kind": gravest["kind"], "file": str(path)}


def _write(path: Path, chunks: Iterator[bytes]) -> None:
    with client.new_file(path) as file:
        for chunk in chunks:
            file.write(chunk)


def _gravest(wanted: str, answer: Document) -> Document | None:
    """The first of the proofs that can be given."""
    listed = answer.get("proofs", [])  # a node of an older version tells none
    if listed:
        return dict(listed[0])
    if wanted:
        raise Failure(
            "nothing-proven",
            _("Nothing here shows that anybody cheated."),
            _("A fork, a second close, or a close that does not follow."),
            _("Nothing to do."),
            NOT_FOUND,
        )
    return None


def _name(charge: Document) -> str:
    """A file name that is the same for the same proof."""
    return f"{charge['kind']}-{charge['subjects'][0][:16]}.proof"


def say_where(written: Document | None) -> None:
    """Say where the proof is, and how anybody checks it."""
    if written is None:
        return
    output.say(
        _("The proof is in {file}. Anybody can check it alone:").format(
            file=written["file"]
        ),
        f"  p2pnode campaign verify {written['file']}",
    )


def dispute(campaign: str) -> list[str]:
    """Let the node tell those who follow that closes are wrong.

    Returns:
        The closes it signed so about; none if it has no key there, or said so before.
    """
    try:
        answer = client.call("POST", client.campaign(campaign, "dispute"), {})
    except Failure as failure:
        if failure.reason in ("not-joined", "feed-stopped"):
            return []
        raise
    return list(answer["closes"])
