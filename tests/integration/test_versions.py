"""The same vectors come from every Python that is supported and there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = ("msgpack", "pynacl", "cryptography")
"""What `protocols` imports."""

pytestmark = pytest.mark.slow


def run(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)],
        cwd=ROOT,
        env=os.environ
        | {"PYTHONPATH": str(ROOT), "PYENV_VERSION": version_of(command)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def version_of(command: tuple[object, ...]) -> str:
    """pyenv's stand-ins for `python3.12` ask for this; others do not look."""
    return Path(str(command[0])).name.removeprefix("python")


@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_page_and_vector_is_made_alike(version, tmp_path):
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        pytest.skip("this is the Python of all other tests")
    python = shutil.which(f"python{version}")
    if python is None or run(python, "--version").returncode != 0:
        pytest.skip(f"no Python {version} here")
    assert run(python, "-m", "venv", tmp_path).returncode == 0
    inside = tmp_path / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (inside, "-m", "pip", "install", "--quiet", "-c", "constraints.txt")
    if run(*pip, *NEEDED).returncode != 0:
        pytest.skip("pip cannot fetch what `protocols` needs")
    made = run(inside, "-m", "tests.generate", "--check")
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
