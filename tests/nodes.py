"""Real node processes for tests, driven through the local API and the CLI."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli import client
from p2pnode import identity, tag_file
from p2pnode.failures import Failure
from p2pnode.store.sqlite import APPLICATION_ID
from p2pnode.swarm.supervisor import NODE, ROOT, Process, Ready
from protocols.bundle import read_bundle
from protocols.codec import encode
from protocols.keys import network_id
from protocols.record import Record
from protocols.tags.code import About
from protocols.terms import TERMS, Terms
from tests.worlds import key_of

assert APPLICATION_ID

TERMS_TOML = """\
title  = "{title}"
unit   = "CNY"
budget = 400_000
residue = {{ to = "charity", key = "{me}", name = "self" }}
redeem_until = 2099-12-31T00:00:00Z
[rounds]
opens  = 2020-01-01T00:00:00Z
first  = 2099-01-01T00:00:00Z
every  = "1d"
count  = 2
accept = "5s"
final  = "10s"
[witnesses]
keys   = ["{me}"]
owners = ["self"]
seen_interval = "1s"
[limits]
paid_levels        = 3
per_person_per_day = 0
place_interval_s   = 0
day_offset_min     = 480
[[tag_group]]
name = "balloons"
file = "balloons.tags"
[[stage]]
id     = "find"
line   = "offline"
act    = "scan"
tags   = "balloons"
grade  = 2
once   = "tag"
reward = {{ rule = "halving", amount = 1_000 }}
"""
