"""The terms file: what a sponsor writes in TOML becomes a campaign's terms.

Every key is read once, here, in the order of the terms; an unknown key, a
missing key or an impossible value is refused with file, line, key and a cure.
`protocols.terms.check_terms` has the last word.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from p2pnode import tag_file
from p2pnode import terms_faults as faults
from p2pnode.file_fault import FileFault
from p2pnode.terms_stages import (
    CONDITION_KEYS,
    STAGE_KEYS,
    read_conditions,
    read_stages,
)
from p2pnode.toml_table import Table, open_toml
from protocols.errors import ProtocolError
from protocols.limits import (
    CHAIN_MAX,
    CONDITIONS_MAX,
    GROUPS_MAX,
    JOIN_BITS_MAX,
    KEYS_MAX,
    NAMED_MAX,
    ROUNDS_MAX,
    STAGES_MAX,
)
from protocols.terms import (
    FAULTS,
    Caps,
    Group,
    Limits,
    Party,
    Residue,
    Role,
    Round,
    Terms,
    Witness,
    check_terms,
)

if TYPE_CHECKING:
    from protocols.keys import AuthorKey, NetworkId

KEYS: Final = (
    "title",
    "unit",
    "budget",
    "sponsor",
    "residue",
    "redeem_until",
    "join_bits",
    "depth",
    "rounds",
    "witnesses",
    "limits",
    "caps",
    "merchant",
    "host",
    "device",
    "tag_group",
    "stage",
    "condition",
)
ROUND_KEYS: Final = ("opens", "first", "every", "count", "accept", "final")
LIMIT_KEYS: Final = (
    "paid_levels",
    "per_person_per_day",
    "place_interval_s",
    "day_offset_min",
)
PARTY_KEYS: Final = ("keys", "name", "amount_max", "per_day_max", "total_max")
ROLES: Final = {
    "merchant": Role.MERCHANT,
    "host": Role.HOST,
    "device": Role.DEVICE,
}
ASK_WITNESSES: Final = 100
"""Witness keys that are read before their number is judged."""

CAPS_DEFAULT: Final = Caps(
    feeds=100_000,
    records_per_feed=1_000,
    bytes_per_feed=1_048_576,
    named_records_per_feed=100_000,
    named_bytes_per_feed=268_435_456,
)
"""A district's campaign: a person scans thrice a day for a year in 1 MiB; a
merchant, or a sponsor with the parts of its closes, has 256 MiB."""

JOIN_BITS: Final = 20
"""Work for a public invite by default: about two seconds."""


def compile_terms(
    text: str,
    *,
    network: NetworkId,
    nonce: bytes,
    read_file: Callable[[str], bytes],
    own: Sequence[AuthorKey] = (),
    file: str = "campaign.toml",
) -> Terms:
    """Compile a terms file.

    Args:
        text: the file's text; `toml_table.decode_text` makes it from bytes.
        network: the network the campaign is for.
        nonce: 16 random bytes; the same file twice is two campaigns.
        read_file: returns the bytes of a file named in the terms, or raises
            OSError.
        own: the keys of the node that compiles it, the one at work first. They
            are the sponsor's if the file names none; and wherever it names one of
            them, as sponsor or party, it means all: after a loss the next takes
            over.
        file: what messages call the file.

    Raises:
        FileFault: with file, line, key and cure.
    """
    root = open_toml(text, file, KEYS)
    keys = _sponsor(root, own)
    witnesses, seen_interval_ms = _witnesses(root)
    limits, day_offset_min = _limits(root)
    stages = read_stages(root.tables("stage", STAGE_KEYS, most=STAGES_MAX))
    groups = _groups(root, read_file)
    terms = Terms(
        title=root.text("title"),
        network=network,
        nonce=nonce,
        unit=root.text("unit", bytes_max=16),
        budget=root.whole("budget", low=1),
        sponsor=keys,
        witnesses=witnesses,
        rounds=_rounds(root),
        seen_interval_ms=seen_interval_ms,
        redeem_until=root.time("redeem_until"),
        residue=_residue(root, [*(key for key in own if key in keys), *keys][0]),
        named=_named(root, own),
        groups=groups,
        stages=stages,
        conditions=read_conditions(
            root.tables("condition", CONDITION_KEYS, most=CONDITIONS_MAX),
            stages,
            groups,
        ),
        limits=limits,
        caps=_caps(root),
        join_bits=root.whole("join_bits", JOIN_BITS, high=JOIN_BITS_MAX),
        depth=root.whole("depth", CHAIN_MAX, low=1, high=CHAIN_MAX),
        day_offset_min=day_offset_min,
    )
    _check(root, terms)
    return terms


def _check(root: Table, terms: Terms) -> None:
    """The relations between keys, first those that have a better sentence."""
    if not terms.stages:
        raise root.fault(faults.no_stage(), "stage")
    if terms.redeem_until <= terms.rounds[-1].final_from:
        raise root.fault(faults.redeem_too_early(), "redeem_until")
    campaign_ms = terms.rounds[-1].accept_until - terms.rounds[0].opens
    for index, stage in enumerate(terms.stages):
        if stage.late_ms + stage.refund_ms > campaign_ms:
            key = "refund" if stage.refund_ms else "late"
            raise root.fault(faults.longer_than_campaign(), "stage", index, key)
    try:
        check_terms(terms)
    except ProtocolError as error:
        found = faults.contradiction(error.detail)
        raise root.fault(found, *_path(error.detail, terms)) from error


def _path(detail: str, terms: Terms) -> tuple[str | int, ...]:
    """Which key the detail of a BAD_TERMS speaks of."""
    subject = detail.partition(":")[0]
    for index, stage in enumerate(terms.stages):
        if subject == f"stage {stage.id}":
            return ("stage", index)
    known = {"tag groups": "tag_group", "named": "merchant", "conditions": "condition"}
    return (known.get(subject, subject),)


def _sponsor(root: Table, given: Sequence[AuthorKey]) -> tuple[AuthorKey, ...]:
    """The sponsor's keys: those of the file, else those given."""
    if "sponsor" not in root and given:
        return tuple(sorted(given))
    return _with_own(root.authors("sponsor", most=KEYS_MAX), given)


def _with_own(
    keys: Sequence[AuthorKey], own: Sequence[AuthorKey]
) -> tuple[AuthorKey, ...]:
    """Keys of one party, with all of this node's if one of them is among them."""
    spares = [key for key in own if key not in keys] if set(own) & set(keys) else []
    return tuple(sorted([*keys, *spares][:KEYS_MAX]))


def _witnesses(root: Table) -> tuple[tuple[Witness, ...], int]:
    """The witnesses in byte order, and how often they publish, in ms."""
    table = root.table("witnesses", ("keys", "owners", "seen_interval"))
    keys = table.authors("keys", most=ASK_WITNESSES)
    if len(keys) not in FAULTS:
        raise table.fault(faults.witness_count(len(keys)), "keys")
    owners = table.texts("owners") if "owners" in table else [""] * len(keys)
    if len(owners) != len(keys):
        raise table.fault(faults.owner_count(len(owners), len(keys)), "owners")
    pairs = sorted(zip(keys, owners, strict=True))
    interval = table.duration("seen_interval", "5s", low=100, high=3_600_000)
    return tuple(Witness(key=key, owner=owner) for key, owner in pairs), interval


def _rounds(root: Table) -> tuple[Round, ...]:
    """Equal rounds; a later one opens when the one before closes."""
    table = root.table("rounds", ROUND_KEYS)
    opens, first = table.time("opens"), table.time("first")
    count = table.whole("count", 1, low=1, high=ROUNDS_MAX)
    every = table.duration("every", "1ms" if count == 1 else None, low=1)
    accept, final = table.duration("accept"), table.duration("final")
    if first <= opens:
        raise table.fault(faults.closes_before_it_opens(), "first")
    if final <= accept:
        raise table.fault(faults.final_too_early(), "final")
    closes = [first + number * every for number in range(count)]
    return tuple(
        Round(
            opens=start, closes=end, accept_until=end + accept, final_from=end + final
        )
        for start, end in zip([opens, *closes], closes, strict=False)
    )


def _residue(root: Table, sponsor: AuthorKey) -> Residue:
    table = root.table("residue", ("to", "key", "name"))
    if table.word("to", {"charity": False, "sponsor": True}):
        if "key" in table:
            raise table.fault(faults.residue_key(), "key")
        return Residue(key=sponsor, name=table.text("name", ""))
    return Residue(key=table.author("key"), name=table.text("name"))


def _named(root: Table, own: Sequence[AuthorKey]) -> tuple[Party, ...]:
    """Merchants, hosts and devices; the same keys under two heads are one party."""
    parties: dict[tuple[AuthorKey, ...], Party] = {}
    for name, role in ROLES.items():
        for table in root.tables(name, PARTY_KEYS, most=NAMED_MAX):
            party = _party(table, role, own)
            before = parties.get(party.keys)
            taken = {key for keys in parties for key in keys} & set(party.keys)
            if before is None and taken:
                raise table.fault(faults.key_of_another(), "keys")
            parties[party.keys] = party if before is None else _both(before, party)
    return tuple(parties[keys] for keys in sorted(parties))


def _party(table: Table, role: Role, own: Sequence[AuthorKey]) -> Party:
    """One party; a merchant without caps would be a trap, so it names them."""
    default = None if role == Role.MERCHANT else 0
    return Party(
        keys=_with_own(table.authors("keys", most=KEYS_MAX), own),
        role=int(role),
        name=table.text("name"),
        amount_max=table.whole("amount_max", default),
        per_day_max=table.whole("per_day_max", default),
        total_max=table.whole("total_max", default),
    )


def _both(first: Party, second: Party) -> Party:
    """One party with both roles and the larger caps."""
    return replace(
        first,
        role=first.role | second.role,
        amount_max=max(first.amount_max, second.amount_max),
        per_day_max=max(first.per_day_max, second.per_day_max),
        total_max=max(first.total_max, second.total_max),
    )


def _groups(root: Table, read_file: Callable[[str], bytes]) -> tuple[Group, ...]:
    tables = root.tables("tag_group", ("name", "file"), most=GROUPS_MAX)
    found: dict[str, Group] = {}
    for table in tables:
        group = _group(table, read_file)
        if group.name in found:
            raise table.fault(faults.same_group(group.name), "name")
        found[group.name] = group
    return tuple(found.values())


def _group(table: Table, read_file: Callable[[str], bytes]) -> Group:
    name, file = table.text("name"), table.text("file")
    try:
        group = tag_file.parse(read_file(file), file).terms_group()
    except OSError as error:
        raise table.fault(faults.no_tag_file(file), "file") from error
    except FileFault as error:
        raise table.fault(faults.bad_tag_file(error.message), "file") from error
    if group.name != name:
        raise table.fault(faults.other_group(file, group.name), "name")
    return group


def _limits(root: Table) -> tuple[Limits, int]:
    """The limits, and the day's offset from UTC in minutes."""
    table = root.table("limits", LIMIT_KEYS, needed=False)
    limits = Limits(
        paid_levels=table.whole("paid_levels", 3, high=CHAIN_MAX),
        per_person_per_day=table.whole("per_person_per_day", 3, high=1_000_000),
        place_interval_ms=table.whole("place_interval_s", 1_800, high=86_400) * 1_000,
    )
    return limits, table.whole("day_offset_min", 480, high=1_440)


def _caps(root: Table) -> Caps:
    names = tuple(Caps.__dataclass_fields__)
    table = root.table("caps", names, needed=False)
    return Caps(
        **{
            name: table.whole(
                name,
                getattr(CAPS_DEFAULT, name),
                low=1,
                **({} if "bytes" in name else {"high": 1_000_000}),
            )
            for name in names
        }
    )
