"""What an installation of p2pnode brings, and whom it must not collide with."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = {"p2pnode", "cli", "protocols"}


def test_nobody_else_claims_our_names() -> None:
    # `cli` and `protocols` are common words; site-packages has room for one of each.
    claimed = importlib.metadata.packages_distributions()
    for name in OURS:
        assert set(claimed.get(name, ())) <= {"p2pnode"}


def test_the_wheel_has_exactly_our_packages() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert set(wheel["packages"]) == OURS
    assert all((ROOT / name / "__init__.py").is_file() for name in OURS)


def test_constraints_pin_what_we_ask_for_and_hold_no_address() -> None:
    text = (ROOT / "constraints.txt").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in lines)
    pinned = {line.partition("==")[0] for line in lines}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    asked = [*project["dependencies"], *extras["test"], *extras["lint"]]
    assert {re.split(r"[^a-z0-9-]", line)[0] for line in asked} <= pinned


def test_what_runs_is_what_was_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line)
    for name in ("libp2p", "trio"):  # whose insides we lean on
        assert importlib.metadata.version(name) == pins[name]
