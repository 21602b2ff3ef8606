"""`p2pnode swarm`: real nodes to develop against, cut, killed and healed at will."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from cli import client, frame, output, params
from cli.i18n import _
from p2pnode.failures import BAD_REQUEST, UNREACHABLE, Failure

if TYPE_CHECKING:
    from cli.swarm_state import Swarm
    from p2pnode.swarm.layout import Standing

NODES_MAX: Final = 64
"""Each takes about 100 MB."""

RATE_MAX: Final = 100
WATCH_S: Final = 1.0
WAIT_S: Final = 30.0
"""How long a node may take to start."""

POLL_S: Final = 0.1

command = frame.group(
    "swarm",
    _("Run a swarm of test nodes."),
    example="p2pnode swarm up --nodes 4\np2pnode swarm status --watch",
)

HOME = click.option(
    "--home",
    "where",
    type=click.Path(path_type=Path, file_okay=False),
    metavar=_("FOLDER"),
    help=_("Where the swarm is kept; by default a folder of this account."),
)
NETWORK = click.option(
    "--network",
    default="main",
    show_default=True,
    help=_("Only nodes of one network talk to each other."),
)
SOME = click.argument("nodes", nargs=-1, required=True, metavar=_("NODE..."))


def _folder(where: Path | None) -> Path:
    from cli.swarm_state import default_folder

    return (where or default_folder()).absolute()


def _swarm(where: Path | None) -> Swarm:
    from cli.swarm_state import load

    return load(_folder(where))


@frame.command(
    "up",
    _("Start nodes that follow one campaign; Ctrl-C ends them all."),
    example="p2pnode swarm up --nodes 4",
    within=command,
)
@HOME
@click.option(
    "--nodes",
    type=params.Whole(2, NODES_MAX),
    default=4,
    show_default=True,
    help=_("At least so many nodes; those of earlier starts come back, too."),
)
@click.option(
    "--records-per-second",
    "rate",
    type=params.Whole(0, RATE_MAX),
    default=1,
    show_default=True,
    help=_("How many records all nodes together sign, in turn."),
)
@NETWORK
@click.option("--detach", is_flag=True, help=_("Run on in the background."))
def up(
    *,
    where: Path | None,
    nodes: int,
    rate: int,
    network: str,
    detach: bool,
    as_json: bool,
) -> None:
    """Own the nodes until Ctrl-C or `swarm down`."""
    from cli import swarm_up

    home = _folder(where)
    if detach:
        options = ["--home", str(home), "--nodes", str(nodes), "--network", network]
        document = swarm_up.detached(
            [*options, "--records-per-second", str(rate)], home
        )
        _say_up(document, as_json=as_json)
        return
    with swarm_up.supervised(home, nodes, network) as supervisor:
        if not as_json:
            output.talk(_("Starting the swarm in {folder}.").format(folder=home))
        swarm = supervisor.start()
        document = {
            "format": "p2pnode.swarm/1",
            "home": str(home),
            "address": swarm.address(),
            "network": swarm.network,
            "campaign": swarm.campaign,
            "nodes": [
                {"name": name, "peer": peer, "home": str(swarm.home(name))}
                for name, peer in swarm.peers.items()
            ],
        }
        _say_up(document, as_json=as_json)
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            supervisor.run(rate)


def _say_up(document: client.Document, *, as_json: bool) -> None:
    if as_json:
        output.as_json(document)
        return
    nodes = document["nodes"]
    output.say(
        _("{count} nodes are up: {names}.").format(
            count=len(nodes), names=", ".join(node["name"] for node in nodes)
        ),
        _("Join them from anywhere on this machine with:"),
        f"  p2pnode swarm join {document['address']}",
        _("Ask one of them, for example {name}, with any command:").format(
            name=nodes[0]["name"]
        ),
        f"  P2PNODE_HOME={nodes[0]['home']} p2pnode status",
    )


@frame.command(
    "status",
    _("Show how every node stands, and whether they hold the same."),
    example="p2pnode swarm status --watch",
    within=command,
)
@HOME
@click.option("--watch", is_flag=True, help=_("Draw it anew each second."))
def status(*, where: Path | None, watch: bool, as_json: bool) -> None:
    """Print a table; on a terminal `--watch` keeps it up to date."""
    swarm = _swarm(where)
    live = watch and not as_json and sys.stdout.isatty()
    while True:
        standings = swarm.standings()
        if as_json:
            _status_json(swarm, standings)
            return
        lines = _status_lines(swarm, standings)
        if live:
            click.clear()
        output.say(*lines)
        if not live:
            return
        sys.stdout.flush()
        time.sleep(WATCH_S)


def _status_json(swarm: Swarm, standings: list[Standing]) -> None:
    from dataclasses import asdict

    from p2pnode.swarm import layout

    behind = layout.lags(standings)
    nodes = [{**asdict(one), "behind": behind.get(one.name)} for one in standings]
    agree = layout.agree(standings)
    output.document(
        "swarm-status",
        {"home": str(swarm.folder), "nodes": nodes, "agree": agree, "parts": swarm.cut},
    )


def _status_lines(swarm: Swarm, standings: list[Standing]) -> list[str]:
    from p2pnode.swarm import layout

    behind = layout.lags(standings)
    down = (_("down"), "", "", "", "", "")
    rows = [
        (one.name, *(_facts(one, behind[one.name]) if one.running else down))
        for one in standings
    ]
    header = (_("node"), _("state"), _("neighbours"), _("feeds"), _("records"))
    lines = output.table((*header, _("behind"), _("holds")), rows)
    cut = swarm.cut
    if cut:
        parts = " / ".join(",".join(part) for part in cut)
        lines.append(_("Cut into parts: {parts}").format(parts=parts))
    if not behind:
        lines.append(_("No node runs. Start them with: p2pnode swarm up"))
    elif layout.agree(standings):
        lines.append(_("All that run hold the same records."))
    else:
        lines.append(_("They do not hold the same records."))
    return lines


def _facts(one: Standing, behind: int) -> tuple[object, ...]:
    return _("up"), one.neighbours, one.feeds, one.records, behind, one.root


@frame.command(
    "join",
    _("Let your node take part, or a new one for as long as this command runs."),
    example="p2pnode swarm join\np2pnode swarm join /ip4/127.0.0.1/tcp/...",
    within=command,
)
@click.argument("address", default="", metavar=_("[ADDRESS]"))
@HOME
@NETWORK
def join(address: str, *, where: Path | None, network: str, as_json: bool) -> None:
    """Add a peer and follow the campaign, both as `swarm up` printed them."""
    from cli.swarm_state import own_node

    if not address:
        swarm = _swarm(where)
        address, network = swarm.address(), swarm.network
    peer, campaign = _parsed(address)
    own = own_node()
    with contextlib.ExitStack() as ends:
        node = own or ends.enter_context(_guest(network))
        body = {"campaign": campaign, "addresses": [peer]}
        client.call("POST", "/campaigns/follow", body, data=node)
        _wait_until_connected(node, peer)
        if as_json:
            output.document(
                "swarm-joined",
                {"home": str(node), "address": peer, "campaign": campaign},
            )
        else:
            output.say(
                _("The node of {folder} is in the swarm.").format(folder=node),
                _("It follows the campaign {campaign}.").format(campaign=campaign),
            )
        if own is None:
            sys.stdout.flush()
            output.talk(_("It is a new node and runs until Ctrl-C. Ask it with:"))
            output.talk(f"  P2PNODE_HOME={node} p2pnode status")
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(WATCH_S)


def _parsed(address: str) -> tuple[str, str]:
    """A peer's address and the campaign that follows it."""
    peer, _slash, campaign = address.strip().rpartition("/")
    if "/p2p/" not in peer or not campaign.startswith("p2pc1"):
        raise Failure(
            "bad-address",
            _("{address} is not the address of a swarm.").format(address=address),
            "/ip4/127.0.0.1/tcp/.../p2p/12D3KooW.../p2pc1...",
            _("Copy the line that p2pnode swarm up printed."),
            BAD_REQUEST,
        )
    return peer, campaign


@contextlib.contextmanager
def _guest(network: str) -> Iterator[Path]:
    """A node of its own in a temporary folder, which goes with it."""
    from cli.swarm_up import heeding_signals
    from p2pnode import identity
    from p2pnode.swarm.supervisor import Process

    with (
        heeding_signals(),
        tempfile.TemporaryDirectory(
            prefix="p2pnode-guest-", ignore_cleanup_errors=True
        ) as made,
    ):
        home = Path(made)
        identity.create(home, role="resident", name="guest", network=network)
        with Process(home) as process:
            process.ready()
            yield home


def _wait_until_connected(node: Path, address: str) -> None:
    peer = address.rpartition("/p2p/")[2]
    deadline = time.monotonic() + WAIT_S
    entry: client.Document = {}
    while time.monotonic() < deadline:
        known = client.call("GET", "/peers", data=node)["peers"]
        entry = next((one for one in known if one["peer"] == peer), {})
        if entry.get("connected") and entry["scopes"]:
            return
        if "network" in entry.get("error", ""):
            break
        time.sleep(POLL_S)
    raise Failure(
        "not-connected",
        _("No swarm answers at {address}: {why}").format(
            address=address, why=entry.get("error") or _("nothing is heard")
        ),
        _("A swarm that is up, on the network of the node that joins."),
        _("See p2pnode swarm status there, and the option --network."),
        UNREACHABLE,
    )


@frame.command(
    "partition",
    _("Cut the swarm into parts: each node blocks the nodes of all other parts."),
    example="p2pnode swarm partition A,B / C,D",
    within=command,
)
@click.argument("parts", nargs=-1, required=True, metavar="A,B / C,D")
@HOME
def partition(parts: tuple[str, ...], *, where: Path | None, as_json: bool) -> None:
    """Cut by the nodes' own block lists; those not named are one more part."""
    from p2pnode.swarm import layout

    swarm = _swarm(where)
    cut = layout.parts(" ".join(parts), list(swarm.peers))
    swarm.separate(cut)
    shown = " / ".join(",".join(part) for part in cut)
    _done(
        {"parts": cut},
        _("The swarm is cut: {parts}").format(parts=shown),
        _("A node of yours that joined still talks to all parts."),
        as_json=as_json,
    )


@frame.command(
    "heal",
    _("Let all nodes of the swarm talk to each other again."),
    example="p2pnode swarm heal",
    within=command,
)
@HOME
def heal(*, where: Path | None, as_json: bool) -> None:
    """Unblock what `partition` blocked."""
    _swarm(where).separate([])
    _done({"parts": []}, _("The swarm is whole again."), as_json=as_json)


@frame.command(
    "kill",
    _("End nodes at once, as a power cut would."),
    example="p2pnode swarm kill B",
    within=command,
)
@SOME
@HOME
def kill(nodes: tuple[str, ...], *, where: Path | None, as_json: bool) -> None:
    """Send SIGKILL; on Windows what comes closest."""
    from p2pnode.swarm import ending

    swarm = _swarm(where)
    for name in dict.fromkeys(swarm.known(nodes)):
        if not ending.kill(swarm.home(name)):
            raise Failure(
                "not-running",
                _("The node {name} does not run.").format(name=name),
                cure=_("See p2pnode swarm status."),
            )
    _done(
        {"nodes": swarm.known(nodes)},
        _("Killed. They start again with: p2pnode swarm start"),
        as_json=as_json,
    )


@frame.command(
    "start",
    _("Start nodes again that were killed: those you name, or all."),
    example="p2pnode swarm start B",
    within=command,
)
@click.argument("nodes", nargs=-1, metavar=_("[NODE...]"))
@HOME
def start(nodes: tuple[str, ...], *, where: Path | None, as_json: bool) -> None:
    """Ask the process of `swarm up` to start them, and wait until they answer."""
    from cli.swarm_state import START, none_runs
    from p2pnode.api import folder

    swarm = _swarm(where)
    if folder.owner(swarm.folder) is None:
        raise none_runs(swarm.folder)
    wanted = swarm.known(nodes or swarm.peers)
    asked = [name for name in wanted if not swarm.runs(name)]
    marks = [swarm.home(name) / START for name in asked]
    for mark in marks:
        mark.touch()
    deadline = time.monotonic() + WAIT_S
    while any(mark.exists() for mark in marks) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for name in asked:
        if not swarm.runs(name):
            raise Failure(
                "node-not-ready",
                _("The node {name} did not start.").format(name=name),
                cure=_("Read {log}.").format(log=swarm.home(name) / "node.log"),
                status=UNREACHABLE,
            )
    said = _("Started: {names}.").format(names=", ".join(asked))
    _done({"nodes": asked}, said if asked else _("All of them run."), as_json=as_json)


@frame.command(
    "down",
    _("End all nodes; what they hold is kept unless you say --delete."),
    example="p2pnode swarm down --delete",
    within=command,
)
@HOME
@click.option("--delete", is_flag=True, help=_("Delete the swarm's folders, too."))
def down(*, where: Path | None, delete: bool, as_json: bool) -> None:
    """End who owns the swarm's folders, whoever started them, and nobody else."""
    from cli.swarm_state import members
    from p2pnode.swarm import ending

    home = _folder(where)
    names = members(home)
    supervisor = ending.stop([home])
    ended = ending.stop(home / name for name in names)
    if delete:
        for name in names:
            shutil.rmtree(home / name)
        _delete_rest(home)
    _done(
        {"home": str(home), "deleted": delete},
        _("The swarm in {folder} is down.").format(folder=home)
        if supervisor or ended
        else _("No node of the swarm in {folder} ran.").format(folder=home),
        as_json=as_json,
    )


def _delete_rest(home: Path) -> None:
    """Delete what `up` has written besides the nodes; other files stay."""
    from cli.swarm_state import FILE, PARTS

    for name in (FILE, PARTS, "up.out", "up.log", "run/lock"):
        (home / name).unlink(missing_ok=True)
    for place in (home / "run", home):
        with contextlib.suppress(OSError):  # absent, or something else is in it
            place.rmdir()


def _done(document: client.Document, *lines: str, as_json: bool) -> None:
    if as_json:
        output.document("swarm-done", document)
    else:
        output.say(*lines)
