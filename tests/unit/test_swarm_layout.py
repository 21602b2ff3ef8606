"""How a test swarm is laid out, and whom `swarm kill` and `down` may end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import run
from cli.swarm_state import members
from cli.swarm_up import STOP_SIGNALS, Supervisor, supervised
from p2pnode.api import folder
from p2pnode.failures import Failure
from p2pnode.identity import FILE, create
from p2pnode.swarm import ending, layout
from p2pnode.swarm.layout import Standing
from p2pnode.swarm.supervisor import ROOT

OWNER = """import sys, time
from pathlib import Path
from p2pnode.api import folder
with folder.locked(Path(sys.argv[1])):
    print("owned", flush=True)
    time.sleep(60)
"""


def test_names_go_on_after_z() -> None:
    found = layout.names(703)
    assert found[:3] == ["A", "B", "C"]
    assert found[25:28] == ["Z", "AA", "AB"]
    assert found[-2:] == ["ZZ", "AAA"]
    assert len(set(found)) == 703


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8, 13, 64])
def test_everybody_is_reached_in_few_steps_over_few_dials(count: int) -> None:
    members = layout.names(count)
    dials = layout.dials(members)
    assert all(name not in others for name, others in dials.items())
    assert max(map(len, dials.values())) <= (count - 1).bit_length() <= 6
    reached, steps = {"A"}, 0
    while len(reached) < count:
        reached |= {other for name in reached for other in dials[name]}
        steps += 1
    assert steps <= (count - 1).bit_length()


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("A,B / C,D", [["A", "B"], ["C", "D"]]),
        ("a b/c", [["A", "B"], ["C"], ["D"]]),
        ("D", [["D"], ["A", "B", "C"]]),
        ("A/B/C/D", [["A"], ["B"], ["C"], ["D"]]),
    ],
)
def test_parts_are_read(text: str, cut: list[list[str]]) -> None:
    assert layout.parts(text, "ABCD") == cut


@pytest.mark.parametrize("text", ["", "/", "A,B,C,D", "A / E", "A,B / B,C", "A A/B"])
def test_parts_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(Failure) as caught:
        layout.parts(text, "ABCD")
    assert caught.value.reason == "bad-parts"


def test_each_blocks_the_other_parts() -> None:
    cut = layout.parts("A,B / C", "ABCD")
    assert layout.blocked("A", cut) == ["C", "D"]
    assert layout.blocked("C", cut) == ["A", "B", "D"]
    assert layout.blocked("A", []) == []


def test_who_lags_is_seen_and_who_is_down_is_left_out() -> None:
    nodes = [
        Standing(name="A", running=True, records=9, root="aa"),
        Standing(name="B", running=True, records=7, root="bb"),
        Standing(name="C"),
    ]
    assert layout.lags(nodes) == {"A": 0, "B": 2}
    assert not layout.agree(nodes)
    assert layout.agree([nodes[0], nodes[2]])
    assert layout.lags([nodes[2]]) == {}
    assert not layout.agree([nodes[2]])


def test_only_the_owner_of_a_folder_is_ended(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    command = [sys.executable, "-c", OWNER, str(mine)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"owned\n"
        assert folder.owner(mine) == process.pid
        (other / "run").mkdir(parents=True)
        # a killed node's lock file, whose number another process has now
        (other / "run" / "lock").write_text(f"{process.pid}\n", "ascii")
        assert not ending.kill(other)
        assert ending.stop([other, tmp_path / "absent"]) == []
        assert process.poll() is None
        assert ending.kill(mine)
        assert process.wait(5) != 0
    assert folder.owner(mine) is None
    assert not ending.kill(mine)


def test_who_does_not_listen_to_reason_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "STOP_S", 0.1)
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    command = [sys.executable, "-c", deaf + OWNER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        assert ending.stop([tmp_path]) == [tmp_path]
        assert process.wait(5) != 0


def test_a_folder_that_no_swarm_has_made_is_left_alone(tmp_path: Path) -> None:
    create(tmp_path / "A", role="merchant", name="my shop")
    before = (tmp_path / "A" / FILE).read_bytes()
    assert members(tmp_path) == []
    with pytest.raises(Failure) as caught:
        Supervisor(tmp_path, 2, "test")
    assert caught.value.reason == "not-of-the-swarm"
    assert run(["swarm", "down", "--delete", "--home", str(tmp_path)]) == 0
    assert (tmp_path / "A" / FILE).read_bytes() == before


def test_the_folders_a_swarm_makes_are_its_own(tmp_path: Path) -> None:
    for _ in range(2):
        Supervisor(tmp_path, 2, "test")
        assert members(tmp_path) == ["A", "B"]
    assert run(["swarm", "down", "--delete", "--home", str(tmp_path)]) == 0
    assert list(tmp_path.glob("*")) == []


def test_signals_are_heeded_no_longer_than_the_swarm_is_up(tmp_path: Path) -> None:
    names = [name for name in STOP_SIGNALS if hasattr(signal, name)]
    numbers = [getattr(signal, name) for name in names]
    before = [signal.getsignal(number) for number in numbers]
    with supervised(tmp_path, 2, "test") as supervisor:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):  # should Python have dropped the first
            supervisor.run(0)
    assert [signal.getsignal(number) for number in numbers] == before
