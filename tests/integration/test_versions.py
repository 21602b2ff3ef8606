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


def run(*command: object, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.mark.long
@pytest.mark.parametrize("version", ["3.11", "3.12", "3.13"])
def test_every_page_and_vector_is_made_alike(version, tmp_path):
    if sys.version_info[:2] == tuple(map(int, version.split("."))):
        pytest.skip("this is the Python of all other tests")
    name = shutil.which(f"python{version}")
    asks = (name, "-c", "import sys; print(sys.executable)")
    # pyenv's stand-ins for `python3.12` ask for its variable; others do not look
    if name is None or (found := run(*asks, PYENV_VERSION=version)).returncode:
        pytest.skip(f"no Python {version} here")
    python = found.stdout.strip()
    pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
    fetched = run(*pip, "-c", "constraints.txt", "--target", tmp_path, *NEEDED)
    if fetched.returncode:
        pytest.skip("pip cannot fetch what `protocols` needs")
    path = os.pathsep.join(map(str, (ROOT, tmp_path)))
    made = run(python, "-m", "tests.generate", "--check", PYTHONPATH=path)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
