"""This node's keys, in one file that only its owner can read.

The transport key is the node's libp2p identity; it can be replaced. A merchant
or device has a public author key that campaigns' terms name. Everybody has a
root seed, from which one author key per campaign and device is derived, so
that acts in two campaigns are not linked by their keys.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from p2pnode.failures import BAD_REQUEST, Failure
from protocols.codec import check_text
from protocols.errors import ProtocolError
from protocols.keys import (
    AuthorKey,
    NetworkId,
    Scope,
    Seed,
    SigningKey,
    network_id,
    person_seed,
)
from protocols.limits import NAME_MAX

FORMAT: Final = "p2pnode.identity/1"
FILE: Final = "identity.json"
ROLES: Final = ("merchant", "resident", "device")

SEALED_BY: Final = "P2PNODE_PASSPHRASE_FILE"
"""The variable that names the file with the passphrase of sealed keys."""

ARGON_MEMORY_KIB: Final = 64 * 1024
"""RFC 9106's second recommendation: 64 MiB, 3 passes, 4 lanes."""
ARGON_PASSES: Final = 3
ARGON_LANES: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Keys and the name a node was made with."""

    role: str
    name: str
    network: str
    """The network's name; its id goes into every record."""
    transport_seed: bytes
    """32 bytes: the libp2p identity."""
    author_key: SigningKey | None
    """The public author key of a merchant or device."""
    root_seed: bytes
    """32 bytes: the origin of all keys as a participant."""

    @property
    def network_id(self) -> NetworkId:
        """The id of the network."""
        return network_id(self.network)

    def person_key(self, campaign: Scope, index: int) -> SigningKey:
        """The key as a participant of one campaign, on one device."""
        return SigningKey(person_seed(self.root_seed, campaign, index))


def create(
    home: Path,
    *,
    role: str,
    name: str,
    passphrase: str | None = None,
    network: str = "main",
) -> Identity:
    """Make keys for a new node in `home`, which must not have any.

    Args:
        home: the data folder; created if absent.
        role: merchant, resident or device.
        name: what people call this node.
        passphrase: seals the seeds (Argon2id, ChaCha20-Poly1305); None: the
            file mode alone protects them.
        network: the network's name.

    Raises:
        Failure: `already-initialised`, `bad-name`, `not-a-folder`, or
            `folder-not-writable`.
    """
    for text in (name, network):
        _check_name(text)
    seeds = {"transport": secrets.token_hex(32), "root": secrets.token_hex(32)}
    if role != "resident":
        seeds["author"] = secrets.token_hex(32)
    document: dict[str, object] = {
        "format": FORMAT,
        "role": role,
        "name": name,
        "network": network,
    }
    if passphrase is None:
        document["seeds"] = seeds
    else:
        document["sealed"] = _seal(seeds, passphrase)
    _write_once(home, json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    return _identity(document, seeds)


def load(home: Path, passphrase: str | None = None) -> Identity:
    """Read the keys of the node in `home`.

    Raises:
        Failure: `not-initialised`, `keys-too-open` (others can read the file),
            `keys-damaged`, `keys-sealed` or `wrong-passphrase`.
    """
    path = home / FILE
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise Failure(
                "keys-too-open",
                "Other accounts of this machine can read {path}.",
                "A file that only its owner can read.",
                "chmod 600 {path}",
                path=path,
            )
        document = json.loads(path.read_text("utf-8"))
        if document["format"] != FORMAT or document["role"] not in ROLES:
            raise _damaged(path)
        seeds = document.get("seeds")
        if seeds is None:
            seeds = _open(document["sealed"], passphrase)
        return _identity(document, seeds)
    except FileNotFoundError:
        raise Failure(
            "not-initialised",
            "There is no node in {home} yet.",
            "A data folder with keys.",
            "Create it with: p2pnode init",
            home=home,
        ) from None
    except NotADirectoryError:
        raise _no_folder(home) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise _damaged(path) from None


def _identity(document: Mapping[str, object], seeds: Mapping[str, str]) -> Identity:
    author = seeds.get("author")
    key = None if author is None else SigningKey(Seed(bytes.fromhex(author)))
    found = Identity(
        role=str(document["role"]),
        name=str(document["name"]),
        network=str(document["network"]),
        transport_seed=bytes.fromhex(seeds["transport"]),
        author_key=key,
        root_seed=bytes.fromhex(seeds["root"]),
    )
    if len(found.transport_seed) != 32 or len(found.root_seed) != 32:
        raise ValueError("a seed has 32 bytes")
    return found


def _write_once(home: Path, text: str) -> None:
    """Write the file whole or not at all, and never over another."""
    path = home / FILE
    if home.exists() and not home.is_dir():
        raise _no_folder(home)
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            path.unlink(missing_ok=True)  # a part of a key is no key
            raise
    except FileExistsError:
        raise Failure(
            "already-initialised",
            "There is a node in {home} already.",
            "A folder without keys.",
            "Use it with: p2pnode run, or choose another folder in P2PNODE_HOME.",
            home=home,
        ) from None
    except OSError as error:
        raise Failure(
            "folder-not-writable",
            "{home} cannot be written: {why}.",
            "A folder on a disk with room, that this account may write.",
            "Choose another folder in P2PNODE_HOME.",
            home=home,
            why=error.strerror,
        ) from None


def _check_name(text: str) -> None:
    try:
        check_text(text)
        size = len(text.encode())
    except ProtocolError:
        size = NAME_MAX + 1
    if size > NAME_MAX:
        raise Failure(
            "bad-name",
            "A name is too long, or holds characters that cannot be shown.",
            "At most {most} bytes of plain text.",
            "Choose another --name or --network.",
            BAD_REQUEST,
            most=NAME_MAX,
        )


def _no_folder(home: Path) -> Failure:
    return Failure(
        "not-a-folder",
        "{home} is not a folder.",
        "A folder, or a name that is free.",
        "Choose another folder in P2PNODE_HOME.",
        home=home,
    )


def _damaged(path: Path) -> Failure:
    return Failure(
        "keys-damaged",
        "{path} cannot be read as this node's keys.",
        "The file that p2pnode init wrote.",
        "Restore it from a backup. Never make a new one over it.",
        path=path,
    )


def _seal(seeds: Mapping[str, str], passphrase: str) -> dict[str, str]:
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    data = json.dumps(dict(seeds)).encode()
    box = ChaCha20Poly1305(_stretch(passphrase, salt)).encrypt(nonce, data, None)
    return {"salt": salt.hex(), "nonce": nonce.hex(), "box": box.hex()}


def _open(sealed: Mapping[str, str], passphrase: str | None) -> dict[str, str]:
    if passphrase is None:
        raise Failure(
            "keys-sealed",
            "The keys of this node are sealed with a passphrase.",
            "The passphrase in P2PNODE_PASSPHRASE_FILE (a file, never argv).",
            "Write it into a file that only you can read and set that variable.",
        )
    salt, nonce, box = (bytes.fromhex(sealed[k]) for k in ("salt", "nonce", "box"))
    try:
        data = ChaCha20Poly1305(_stretch(passphrase, salt)).decrypt(nonce, box, None)
    except InvalidTag:
        raise Failure(
            "wrong-passphrase",
            "The passphrase is wrong.",
            "The one that p2pnode init was given.",
            "Look into the file that P2PNODE_PASSPHRASE_FILE names.",
        ) from None
    seeds: dict[str, str] = json.loads(data)
    return seeds


def _stretch(passphrase: str, salt: bytes) -> bytes:
    return Argon2id(
        salt=salt,
        length=32,
        iterations=ARGON_PASSES,
        lanes=ARGON_LANES,
        memory_cost=ARGON_MEMORY_KIB,
    ).derive(passphrase.encode())


def load_unsealed(home: Path) -> Identity:
    """As `load`, with the passphrase of the file that `SEALED_BY` names, if any."""
    return load(home, read_passphrase(os.environ.get(SEALED_BY)))


def read_passphrase(file: str | None) -> str | None:
    """The first line of a passphrase file, or None where there is no file.

    Raises:
        Failure: `no-passphrase`, it cannot be read or is empty.
    """
    if not file:
        return None
    try:
        lines = Path(file).read_text("utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    if not lines or not lines[0]:
        raise Failure(
            "no-passphrase",
            "There is no passphrase in {file}.",
            "A text file whose first line is the passphrase.",
            "Check the name of the file.",
            file=file,
        )
    return lines[0]


def public_author(identity: Identity) -> AuthorKey | None:
    """The key that terms can name, if this node has one."""
    return None if identity.author_key is None else identity.author_key.author
