"""Which folder holds this node's data."""

from __future__ import annotations

import os
from pathlib import Path

from cli.i18n import _
from p2pnode.failures import BAD_REQUEST, Failure


def folder() -> Path:
    """Return the data folder, absolute; it need not exist.

    Raises:
        Failure: no home folder is known and P2PNODE_HOME is not set.
    """
    setting = os.environ.get("P2PNODE_HOME")
    if setting:
        return Path(setting).absolute()
    import platformdirs

    path = platformdirs.user_data_path("p2pnode", appauthor=False)
    if not path.is_absolute():
        raise Failure(
            "no-home",
            _("This account has no home folder, so there is no place for data."),
            _("A folder in P2PNODE_HOME."),
            _("Set P2PNODE_HOME to a folder that only you can read."),
            BAD_REQUEST,
        )
    return path
