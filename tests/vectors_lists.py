"""Vectors of tags as the sponsor lists them, and of their one-time keys. 0008 §3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from protocols.claims import Kind, Part
from protocols.codec import Value, encode
from protocols.keys import SigningKey
from protocols.merkle import Tree
from protocols.tags.entry import (
    SerialProof,
    Serials,
    TagEntry,
    group_root,
    serial_root,
    tag_id,
)
from protocols.terms import Condition, Count, Group
from tests.vectors import Case
from tests.vectors_campaign import _entry, _photo, _visit_world, settle_case
from tests.worlds import NETWORK, World, key_of, salt_of


def lists() -> list[Case]:
    """Which tags there are, and which keys are theirs."""
    return [
        settle_case("a place listed twice, a tag in two groups", _twice()),
        settle_case("a group of the terms, listed as it is there", _group((0, 1))),
        settle_case("a group of the terms, a tag short", _group((0,))),
        settle_case("a group of the terms, with another tag", _group((0, 2))),
        settle_case("revoked, where a condition needs the group", _revoked()),
        settle_case("one-time keys in parts", _parts((0, 1), (1, 2, 3))),
        settle_case("one-time keys in parts, a key short", _parts((0, 1), (2,))),
        settle_case("one-time keys in parts, and more of them", _more()),
        settle_case("one-time keys in parts, none at index 0", _from_one()),
        settle_case("one-time keys beside an entry of other keys", _beside()),
    ]


def _twice() -> World:
    world = _visit_world({})
    first, second, third = (_entry(index=index) for index in range(3))
    world.tags("shops", [first])
    world.tags("shops", [second, third])  # the first of them where another is
    world.tags("bars", [first])
    for entry in (first, second, third):
        _photo(world, "dave", entry, 0)
    return world


def _group(listed: Sequence[int]) -> World:
    """A group of two in the terms, and what the sponsor lists of it."""
    entries = [_entry(index=index) for index in range(3)]
    group = Group(name="shops", count=2, root=group_root(entries[:2]))
    world = _visit_world({}, groups=(group,))
    world.tags("shops", [entries[index] for index in listed])
    world.tags("shops", [_entry(index=7)], offset=5)  # no place of the group
    for entry in (*entries, _entry(index=7)):
        _photo(world, "dave", entry, 0)
    return world


def _revoked() -> World:
    """The sponsor revokes what was scanned at once, and what is to be scanned."""
    stage = _visit_world({}).terms.stages[0]
    free = replace(stage, id="free", tags="free")
    fixed, other = _entry(index=1), _entry(index=2)
    group = Group(name="shops", count=1, root=group_root([fixed]))
    world = _visit_world(
        {},
        stages=(stage, free),
        groups=(group,),
        conditions=(Condition(stage=0, count=Count.DISTINCT_TAGS, least=1),),
    )
    world.tags("shops", [fixed])
    world.tags("free", [other])
    world.see()
    world.tags("free", [], revoked=(tag_id(fixed), tag_id(other)))
    world.see()
    _photo(world, "dave", fixed, 0)
    _photo(world, "dave", other, 1)
    return world


KEYS = tuple(key_of(f"serial {index}") for index in range(4))


def _serials(world: World, entry: TagEntry, keys: Sequence[SigningKey] = KEYS) -> None:
    """Dave uses every one of them."""
    where: list[Value] = [NETWORK, world.scope, key_of("dave").author, tag_id(entry)]
    for index, key in enumerate(keys):
        signed = key.sign_value("serial", where)
        proof = SerialProof(index=index, key=key.author, signature=signed)
        world.read("dave", entry, proof)


def _listed(keys: Sequence[SigningKey] = KEYS) -> TagEntry:
    top = serial_root([key.author for key in keys])
    return _entry(Serials(count=len(keys), root=top))


def _part(world: World, index: int, keys: Sequence[Value]) -> None:
    data = encode([*keys])
    claim = Part(
        salt=salt_of("part", index, world.now),
        tree=Tree.SERIALS,
        root=serial_root([key.author for key in KEYS]),
        index=index,
        data=data,
    )
    world.write(world.sponsor, Kind.PART, claim)


def _parts(*chunks: Sequence[int]) -> World:
    """Each part with these of the keys; 1 stands in two, but as text in one."""
    world = _visit_world({"grade": 2})
    for place, chunk in enumerate(chunks):
        keys: list[Value] = [KEYS[index].author for index in chunk]
        if place and chunk[0] == 1:
            keys[0] = "no key"
        _part(world, place, keys)
    _part(world, 0, [KEYS[3].author])  # the first at a place holds
    world.tags("shops", [_listed()])
    _serials(world, _listed())
    return world


def _more() -> World:
    """What a sponsor adds later takes no key away from anybody."""
    world = _visit_world({"grade": 2})
    _part(world, 0, [key.author for key in KEYS])
    world.tags("shops", [_listed()])
    world.see()
    _part(world, 1, [key_of("another").author])
    world.see()
    _serials(world, _listed())
    return world


def _from_one() -> World:
    """Nothing is a list that begins at 1: a part 0 could change it later."""
    world = _visit_world({"grade": 2})
    _part(world, 1, [key.author for key in KEYS])
    world.tags("shops", [_listed()])
    _serials(world, _listed())
    return world


def _beside() -> World:
    world = _visit_world({"grade": 2})
    good, bad = _listed(KEYS[:2]), _listed(KEYS[2:])
    keys = [key.author for key in KEYS]
    world.tags("shops", [good, bad], [keys[:2], keys[:2]])
    _serials(world, good, KEYS[:2])
    _serials(world, bad, KEYS[2:])
    return world
