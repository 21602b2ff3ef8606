"""This node's keys, in one file that only its owner can read.

The transport key is the node's libp2p identity; it can be replaced. A merchant
or device has a public author key that campaigns' terms name, and up to three
more: after a loss the next takes over. Everybody has a
root seed, from which one author key per campaign and device is derived, so
that acts in two campaigns are not linked by their keys.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from p2pnode.failures import BAD_REQUEST, Failure
from p2pnode.high_water import NO_KEY, RESTORED, Mark
from p2pnode.store.mark_file import NAME, MarkFile
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
    preimage,
)
from protocols.limits import KEYS_MAX, NAME_MAX

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
    spare_keys: tuple[SigningKey, ...] = ()
    """Further author keys, in the order in which they take over."""
    marked: bool = False
    """It was made together with a mark: without one, something was lost."""

    @property
    def author_keys(self) -> tuple[SigningKey, ...]:
        """All author keys, the first first."""
        first = () if self.author_key is None else (self.author_key,)
        return (*first, *self.spare_keys)

    @property
    def network_id(self) -> NetworkId:
        """The id of the network."""
        return network_id(self.network)

    def apart(self, twin: str) -> Identity:
        """The same person with a peer id of her own, if `twin` names this node.

        Two nodes with one peer id drive each other off their neighbours. A shop
        keeps its own: it is where its customers know it.
        """
        if not twin or self.role != "resident":
            return self
        seed = sha256(preimage("twin", self.transport_seed + twin.encode())).digest()
        return replace(self, transport_seed=seed)

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
    spares: int = 1,
) -> Identity:
    """Make keys for a new node in `home`, which must not have any.

    Args:
        home: the data folder; created if absent.
        role: merchant, resident or device.
        name: what people call this node.
        passphrase: seals the seeds (Argon2id, ChaCha20-Poly1305); None: the
            file mode alone protects them.
        network: the network's name.
        spares: further author keys of a merchant or device, at most 3.

    Raises:
        Failure: `already-initialised`, `bad-name`, `not-a-folder`, or
            `folder-not-writable`.
    """
    for text in (name, network):
        _check_name(text)
    seeds = {"transport": secrets.token_hex(32), "root": secrets.token_hex(32)}
    if role != "resident":
        seeds["author"] = secrets.token_hex(32)
        for number in range(1, min(spares, KEYS_MAX - 1) + 1):
            seeds[_spare(number)] = secrets.token_hex(32)
    document: dict[str, object] = {
        "format": FORMAT,
        "role": role,
        "name": name,
        "network": network,
        "marked": True,
    }
    _write_once(home, _text(document, seeds, passphrase))
    return _identity(document, seeds)


def add_key(home: Path, passphrase: str | None = None) -> Identity:
    """Give the node in `home` one author key more; it stops first, or starts anew.

    Args:
        home: the data folder.
        passphrase: opens and seals the keys, where they are sealed.

    Raises:
        Failure: those of `load`; `no-author-key`, `too-many-keys`.
    """
    identity = load(home, passphrase)
    if identity.author_key is None:
        raise Failure(
            "no-author-key",
            "This node is a resident's: it has no public author key.",
            "A node of a merchant, sponsor or charity.",
            "A resident needs none: after a loss it continues by itself.",
        )
    if len(identity.author_keys) == KEYS_MAX:
        raise Failure(
            "too-many-keys",
            "This node has {most} author keys already.",
            "No more than terms can name for one party.",
            "For keys that are all new, make another node: p2pnode init",
            most=KEYS_MAX,
        )
    document = json.loads((home / FILE).read_text("utf-8"))
    sealed = document.pop("sealed", None)
    seeds = document.pop("seeds", None) or _open(sealed, passphrase)
    seeds[_spare(len(identity.author_keys))] = secrets.token_hex(32)
    text = _text(document, seeds, None if sealed is None else passphrase)
    _write_over(home / FILE, text)
    return _identity(document, seeds)


def _spare(number: int) -> str:
    """The name of a further author key's seed, counted from 1."""
    return f"author{number + 1}"


def _text(
    document: Mapping[str, object], seeds: Mapping[str, str], passphrase: str | None
) -> str:
    """The identity file; with a passphrase the seeds are sealed."""
    keys = (
        {"seeds": seeds} if passphrase is None else {"sealed": _seal(seeds, passphrase)}
    )
    return json.dumps({**document, **keys}, indent=1, ensure_ascii=False) + "\n"


def seal(text: str, passphrase: str) -> str:
    """The text of an identity file with its seeds sealed; sealed ones stay as they are.

    Raises:
        ValueError, KeyError: it is not an identity file.
    """
    document = json.loads(text)
    if "sealed" in document:
        return text
    seeds = document.pop("seeds")
    return _text(document, seeds, passphrase)


def is_sealed(text: str) -> bool:
    """Whether the seeds in the text of an identity file are sealed."""
    return "sealed" in json.loads(text)


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
        spare_keys=tuple(
            SigningKey(Seed(bytes.fromhex(seeds[name])))
            for number in range(1, KEYS_MAX)
            if (name := _spare(number)) in seeds
        ),
        marked=document.get("marked") is True,
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
        if not path.exists():
            _write_mark(home)
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


def _write_mark(home: Path) -> None:
    """The mark of a node that has signed nothing: from now on it may not be absent."""
    mark = MarkFile(home / NAME)
    try:
        mark.write(Mark(), sync=True)
    finally:
        mark.close()


def _write_over(path: Path, text: str) -> None:
    """Replace the file by a new one, whole or not at all."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


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


def public_authors(home: Path, identity: Identity) -> tuple[AuthorKey, ...]:
    """The keys that new terms should name: those that were not given up.

    Nor will be, when the node starts: see `high_water.compare`.
    """
    beside = MarkFile(home / NAME, due=identity.marked).read()
    mark = beside.mark or Mark(used=NO_KEY if beside.due else 1)
    due = mark.store == RESTORED or beside.moved is not None
    return tuple(key.author for key in identity.author_keys[mark.used - 1 + due :])
