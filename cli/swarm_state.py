"""A test swarm as any terminal sees it: its folder, and its nodes' own doors."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, TypeVar

from cli import client, home
from cli.i18n import _
from p2pnode.api import folder
from p2pnode.failures import BAD_REQUEST, UNREACHABLE, Failure
from p2pnode.swarm import layout
from p2pnode.swarm.layout import Standing
from protocols.keys import witness_scope
from protocols.text import read_campaign

FORMAT: Final = "p2pnode.swarm-state/1"
FILE: Final = "swarm.json"

PARTS: Final = "parts.json"
"""How the swarm is cut now; absent: it is whole."""

START: Final = "start"
"""A file in a node's folder: whoever runs the swarm is to start the node."""

MARK: Final = "swarm-node"
"""A file in a node's folder: `swarm up` has made it, and `swarm down` may delete it."""

T = TypeVar("T")
Cut = list[list[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swarm:
    """What `swarm up` has made."""

    folder: Path
    network: str
    campaign: str
    """The test campaign that every node follows."""
    code: str
    """Of its one tag, which everybody may scan again and again."""
    peers: dict[str, str]
    """Each node's name and peer id, in order."""

    def home(self, name: str) -> Path:
        """A node's data folder: P2PNODE_HOME for the other commands."""
        return self.folder / name

    def save(self) -> None:
        """Note it, for other terminals and the next start."""
        note = {"format": FORMAT, **asdict(self)}
        del note["folder"]
        _write(self.folder / FILE, note)

    def known(self, names: Iterable[str]) -> list[str]:
        """The nodes that somebody typed.

        Raises:
            Failure: `unknown-node`.
        """
        found = [name.upper() for name in names]
        for name in found:
            if name not in self.peers:
                raise Failure(
                    "unknown-node",
                    _("The swarm has no node {name}.").format(name=name),
                    _("One of {names}.").format(names=", ".join(self.peers)),
                    _("See p2pnode swarm status."),
                    BAD_REQUEST,
                )
        return found

    def runs(self, name: str) -> bool:
        """Whether a node's process runs."""
        return folder.owner(self.home(name)) is not None

    def call(
        self, name: str, method: str, path: str, body: client.Document | None = None
    ) -> client.Document:
        """Ask one node; raises as `client.call`."""
        return client.call(method, path, body, data=self.home(name))

    def each(self, names: Sequence[str], act: Callable[[str], T]) -> list[T]:
        """Do something for several nodes, a few at a time."""
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(act, names))

    # How it stands.

    def standings(self) -> list[Standing]:
        """How every node stands now."""
        return self.each(list(self.peers), self._standing)

    def _standing(self, name: str) -> Standing:
        campaign = read_campaign(self.campaign)
        ours = {campaign.hex(), witness_scope(campaign).hex()}
        try:
            found = self.call(name, "GET", "/scopes")["scopes"]
            status = self.call(name, "GET", "/status")
        except Failure:
            return Standing(name=name)
        scopes = [one for one in found if one["scope"] in ours]
        roots = "".join(str(one["root"]) for one in scopes)
        return Standing(
            name=name,
            running=True,
            neighbours=int(status["neighbours"]),
            feeds=sum(int(one["feeds"]) for one in scopes),
            records=sum(int(one["records"]) for one in scopes),
            root=hashlib.sha256(roots.encode()).hexdigest()[:8],
        )

    def address(self) -> str:
        """Where to join: a running node's address, and the campaign to follow.

        Raises:
            Failure: `no-daemon`, none runs.
        """
        for name in self.peers:
            with contextlib.suppress(Failure):
                first = self.call(name, "GET", "/status")["addresses"][0]
                return f"{first}/{self.campaign}"
        raise none_runs(self.folder)

    # How it is cut.

    @property
    def cut(self) -> Cut:
        """The parts it is cut into; empty: it is whole."""
        try:
            found: Cut = json.loads((self.folder / PARTS).read_bytes())
        except FileNotFoundError:
            return []
        return found

    def separate(self, cut: Cut) -> None:
        """Cut it, or with no parts heal it; who is down is told when it starts."""
        _write(self.folder / PARTS, cut)
        self.each(list(self.peers), lambda name: self.apply(name, cut))

    def apply(self, name: str, cut: Cut) -> None:
        """Have a node refuse the peers of other parts, and dial those of its own."""
        refused = {self.peers[other] for other in layout.blocked(name, cut)}
        ours = set(self.peers.values())
        mates = next((part for part in cut if name in part), list(self.peers))
        try:
            for peer in self.call(name, "GET", "/peers")["peers"]:
                if peer["blocked"] and peer["peer"] in ours - refused:
                    self.call(name, "POST", "/peers/unblock", {"peer": peer["peer"]})
            for peer_id in sorted(refused):
                self.call(name, "POST", "/peers/block", {"peer": peer_id})
            self._dial(name, layout.dials(mates)[name])
        except Failure as failure:
            if failure.reason != "no-daemon":
                raise

    def _dial(self, name: str, others: Iterable[str]) -> None:
        """Have a node dial others that run."""
        for other in others:
            with contextlib.suppress(Failure):
                known = self.call(other, "GET", "/status")["addresses"]
                self.call(name, "POST", "/peers", {"address": known[0]})


def default_folder() -> Path:
    """Where the swarm is kept if nothing else is said: for this account only."""
    import platformdirs

    return platformdirs.user_data_path("p2pnode-swarm", appauthor=False)


def members(where: Path) -> list[str]:
    """The nodes that `swarm up` has made there, in order; nobody else's."""
    found = [path.parent.name for path in where.glob(f"*/{MARK}")]
    return sorted(found, key=lambda name: (len(name), name))


def load(where: Path) -> Swarm:
    """Read what `swarm up` has noted.

    Raises:
        Failure: `no-swarm`.
    """
    try:
        note = json.loads((where / FILE).read_bytes())
        if note.pop("format") == FORMAT:
            return Swarm(folder=where, **note)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise Failure(
        "no-swarm",
        _("There is no swarm in {folder}.").format(folder=where),
        _("The folder of a swarm that is up."),
        _("Start one with: p2pnode swarm up"),
        UNREACHABLE,
    )


def none_runs(where: Path) -> Failure:
    """The failure where no node of a swarm runs."""
    return Failure(
        "swarm-down",
        _("No node of the swarm in {folder} runs.").format(folder=where),
        _("A swarm that is up."),
        _("Start it with: p2pnode swarm up"),
        UNREACHABLE,
    )


def own_node() -> Path | None:
    """The folder of this account's own node, if it runs."""
    own = home.folder()
    return own if folder.owner(own) is not None else None


def _write(path: Path, value: object) -> None:
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(value, indent=1) + "\n", "utf-8")
    draft.replace(path)
