"""What happens in one seed: who plays, and which faults strike whom, when.

Each seed leaves most kinds of faults out and makes the others mild or wild:
faults that never come alone are hard to tell apart, and a world where
everything fails at once tests only that.
"""

from __future__ import annotations

import random  # noqa: TID251 - the seed is the argument: nothing here is secret
from dataclasses import dataclass, field
from typing import Final

from p2pnode.net.simulated import Weather
from p2pnode.swarm.torture.roles import CHEAT_NODES_MIN, CHEATS

NODES_MIN: Final = 8
"""A sponsor, four witnesses, a charity and two residents."""

SEVEN_FROM: Final = 20
"""With so many nodes there may be seven witnesses."""

YEAR_S: Final = 365 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What goes wrong at one node's own disk. Probabilities are per store call."""

    crash: float = 0.0
    """The node dies before the call, in the middle of it, or after it."""
    doubt: float = 0.0
    """A commit reports an error; it happened or not, each as often."""
    full: float = 0.0
    """A commit finds the disk full."""
    delay_s_max: float = 0.0
    """How long a call may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """What a broken carrier does, which no stream does. Probabilities per frame."""

    lose: float = 0.0
    repeat: float = 0.0
    swap: float = 0.0
    """The frame changes places with the one before it in the same write."""
    spoil: float = 0.0
    """A bit of it is turned, or it becomes noise: only liars do this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happens to the world at a time."""

    at_s: float
    what: str
    """`cut`, `part`, `heal`, `crash` or `jump`."""
    names: tuple[str, ...] = ()
    """cut: from, to; part: one side; crash, jump: the node."""
    amount: float = 0.0
    """crash: seconds until it is back; jump: seconds its clock moves by."""


@dataclass(slots=True, kw_only=True)
class Plan:
    """One seed's parts and faults."""

    seed: int
    nodes: int
    sponsor: str = "sponsor"
    charity: str = "charity"
    witnesses: tuple[str, ...] = ()
    bakers: tuple[str, ...] = ()
    """A shop that is no witness, where there are nodes enough."""
    cheat: str = ""
    """How somebody cheats, a name of `roles`; "": nobody does."""
    crook: str = ""
    """A resident of bad intent, where the cheat needs one."""
    cheats: tuple[str, ...] = ()
    """Who breaks the rules on purpose, the crook among them."""
    fork_at: int | None = None
    """Where the twins' branches part; None: drawn later."""
    feeds_max: int = 1_000
    join_bits: int = 0
    """The terms' cap on feeds, and their work for a public invite."""
    people: tuple[str, ...] = ()
    """Honest residents, in the order in which they join."""
    inviters: dict[str, str] = field(default_factory=dict)
    late: tuple[str, ...] = ()
    """Residents who are born when the weather is at its worst."""
    gone: dict[str, float] = field(default_factory=dict)
    """Residents who leave for ever, and when."""
    lying_witness: str | None = None
    """Lists heads of both branches of a fork."""
    silent_witness: str | None = None
    """Dies early and never comes back."""
    twins: tuple[str, ...] = ()
    """Two nodes that pass on different branches of one key's feed."""
    forgers: tuple[str, ...] = ()
    """Nodes whose stores hold what nobody may take, and who serve it."""
    carriers: dict[str, Carrier] = field(default_factory=dict)
    weather: Weather = field(default_factory=Weather)
    troubles: dict[str, Trouble] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    skew_s: dict[str, float] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    calm_s: float = 60.0
    """When the weather clears and everybody is back."""
    balloons: int = 4
    purchases: int = 2
    bulk: dict[str, int] = field(default_factory=dict)
    """Who announces how many things at once."""

    @property
    def honest(self) -> tuple[str, ...]:
        """Everybody who keeps the rules, those that leave among them."""
        core = (self.sponsor, self.charity, *self.shops, *self.people)
        liars = (*self.cheats, self.lying_witness)
        return tuple(name for name in core if name not in liars)

    @property
    def shops(self) -> tuple[str, ...]:
        """The merchants of the terms: every witness is one."""
        return (*self.witnesses, *self.bakers)

    @property
    def has_street(self) -> bool:
        """Whether the nodes share a scope besides the campaign."""
        return bool(self.bulk or self.forgers)

    @property
    def everybody(self) -> tuple[str, ...]:
        """All nodes, in the order in which they are born."""
        core = (self.sponsor, *self.shops, self.charity)
        crook = (self.crook,) if self.crook else ()
        return (*core, *self.twins, *self.forgers, *crook, *self.people)


def draw(seed: int, nodes: int, cheat: str | None = None) -> Plan:
    """Draw the plan of a seed.

    Args:
        seed: all chance comes from it.
        nodes: how many there are in all; at least `NODES_MIN`.
        cheat: how somebody cheats, a name of `roles`, from `CHEAT_NODES_MIN`
            nodes on; "": nobody does; None: the seed says.
    """
    rng = random.Random(f"plan {seed} {nodes}")  # noqa: S311 - simulation
    drawn = rng.choice([*CHEATS, *[""] * len(CHEATS)])
    if cheat is None:
        cheat = drawn if nodes >= CHEAT_NODES_MIN else ""
    plan = Plan(seed=seed, nodes=nodes, cheat=cheat)
    _cast(plan, rng)
    plan.calm_s = float(rng.randrange(40, 75))
    _weather(plan, rng)
    _disks(plan, rng)
    _clocks(plan, rng)
    plan.events = _events(plan, rng)
    plan.balloons = max(2, min(12, nodes // 4))
    plan.purchases = max(1, nodes // 8)
    if rng.random() < 0.6:
        loud = rng.sample(plan.honest, 2)
        plan.bulk = {name: rng.choice((5, 30, 90)) for name in loud}
    return plan


def _cast(plan: Plan, rng: random.Random) -> None:
    """Who is who: liars take the places of residents."""
    seven = plan.nodes >= SEVEN_FROM and rng.random() < 0.2
    plan.witnesses = tuple(f"shop{i}" for i in range(7 if seven else 4))
    _fill(plan, rng)
    known = [plan.sponsor]
    for name in plan.people:
        plan.inviters[name] = rng.choice(known[-6:])
        known.append(name)
    _come_and_go(plan, rng)
    _corrupt(plan, rng)
    fate = rng.random()
    if "witness" in CHEATS.get(plan.cheat, ()):
        return  # who lies and who is silent are one fault each, and f is one
    if fate < 0.3 and plan.twins:
        plan.lying_witness = rng.choice(plan.witnesses)
    elif fate < 0.5:
        plan.silent_witness = rng.choice(plan.witnesses)


def _fill(plan: Plan, rng: random.Random) -> None:
    """Give the places that are left: liars, a shop, and residents."""
    parts = CHEATS.get(plan.cheat, ())
    left = plan.nodes - 2 - len(plan.witnesses)
    if "twins" in parts or (left >= 5 and rng.random() < 0.5):
        plan.twins = ("twin-a", "twin-b")
        left -= 2
    if "crook" in parts:
        plan.crook = "crook"
        left -= 1
    if "baker" in parts or left >= 4:
        plan.bakers = ("baker",)
        left -= 1
    if left >= 4 and rng.random() < 0.4:
        plan.forgers = tuple(f"forger{i}" for i in range(rng.choice((1, 1, 2))))
        left -= len(plan.forgers)
    plan.people = tuple(f"p{i:02}" for i in range(left))


def _corrupt(plan: Plan, rng: random.Random) -> None:
    """Who cheats, and what the terms must be like for it."""
    parts = CHEATS.get(plan.cheat, ())
    liar = rng.choice(plan.witnesses)
    names = {"sponsor": plan.sponsor, "witness": liar, "crook": plan.crook}
    names["baker"] = "baker"
    plan.cheats = tuple(names[part] for part in parts if part in names)
    if plan.cheat == "switches-branches":
        plan.lying_witness = liar
    if plan.cheat.startswith("forks-at"):
        plan.fork_at = 0
    elif plan.cheat == "forks-later":
        plan.fork_at = rng.randrange(1, 4)
    if plan.cheat == "floods-an-invite":
        plan.feeds_max, plan.join_bits = 4 * plan.nodes, 4


def _come_and_go(plan: Plan, rng: random.Random) -> None:
    """Who comes late, and who leaves: residents who invited nobody."""
    leaves = [one for one in plan.people if one not in plan.inviters.values()]
    rng.shuffle(leaves)
    if rng.random() < 0.5:
        plan.late = tuple(leaves[: max(1, len(leaves) // 4)])
    if rng.random() < 0.4:
        for name in leaves[-max(1, len(leaves) // 5) :]:
            if name not in plan.late:
                plan.gone[name] = float(rng.randrange(15, 60))


def _weather(plan: Plan, rng: random.Random) -> None:
    """How bad the network is until it is calm."""

    def sometimes(probability: float, most: float) -> float:
        """0, or a rate that is mostly small and at worst `most`."""
        return most * rng.random() ** 3 if rng.random() < probability else 0.0

    low = rng.choice((0.005, 0.01, 0.05))
    plan.weather = Weather(
        latency_s_min=low,
        latency_s_max=low + rng.choice((0.05, 0.1, 0.5)),
        loss=sometimes(0.5, 0.5),
        reset=sometimes(0.5, 0.3),
        stall=sometimes(0.4, 0.3),
        refuse=sometimes(0.4, 0.5),
    )
    if rng.random() < 0.3:
        some = rng.sample(plan.everybody, max(1, plan.nodes // 8))
        plan.slow = {name: rng.choice((3.0, 10.0, 30.0)) for name in some}
    if rng.random() < 0.3:
        for name in rng.sample(plan.everybody, max(1, plan.nodes // 8)):
            plan.carriers[name] = Carrier(
                lose=sometimes(0.6, 0.5),
                repeat=sometimes(0.6, 0.8),
                swap=sometimes(0.6, 1.0),
            )
    for name in plan.forgers:
        if rng.random() < 0.6:
            spoil = rng.choice((0.01, 0.1, 0.5))
            plan.carriers[name] = Carrier(repeat=sometimes(0.3, 0.8), spoil=spoil)


def _disks(plan: Plan, rng: random.Random) -> None:
    """Whose disk fails, and how."""
    crash = rng.choice((0.0, 0.0, 0.002, 0.01))
    doubt = rng.choice((0.0, 0.0, 0.01, 0.05))
    full = rng.choice((0.0, 0.0, 0.0, 0.2))
    delay = rng.choice((0.0, 0.0, 0.01, 0.2))
    for name in plan.everybody:
        if rng.random() < 0.4:
            plan.troubles[name] = Trouble(
                crash=crash, doubt=doubt, full=full, delay_s_max=delay
            )


def _clocks(plan: Plan, rng: random.Random) -> None:
    """Whose clock is wrong: a little everywhere, wildly where it may be."""
    if rng.random() < 0.5:
        for name in plan.everybody:
            small = name in plan.witnesses or name == plan.sponsor
            plan.skew_s[name] = round(rng.uniform(-1, 1) * (1 if small else 600), 3)
    if rng.random() < 0.2:
        leaves = [one for one in plan.people if one not in plan.inviters.values()]
        name = rng.choice(leaves)
        plan.skew_s[name] = rng.choice((-10, 10)) * float(YEAR_S)


def _events(plan: Plan, rng: random.Random) -> tuple[Event, ...]:
    """Cuts, partitions, crashes and jumps, in order of time."""

    def some(what: str, probability: float, most: int) -> list[Event]:
        """Up to `most` events of a kind, or none."""
        count = rng.randrange(1, 1 + most) if rng.random() < probability else 0
        return [_event(plan, what, rng) for _ in range(count)]

    found = some("part", 0.4, 2) + some("heal", 0.2, 1)
    found += some("cut", 0.4, 1 + plan.nodes // 2)
    found += some("crash", 0.5, 1 + plan.nodes // 6) + some("jump", 0.3, 3)
    return tuple(sorted(found, key=lambda event: event.at_s))


def _event(plan: Plan, what: str, rng: random.Random) -> Event:
    at_s, names = round(rng.uniform(5, plan.calm_s - 5), 1), plan.everybody
    match what:
        case "part":
            side = rng.sample(names, rng.randrange(1, len(names)))
            return Event(at_s=at_s, what=what, names=tuple(sorted(side)))
        case "cut":
            return Event(at_s=at_s, what=what, names=tuple(rng.sample(names, 2)))
        case "crash":
            down_s = rng.choice((0.1, 2.0, 20.0))
            one = (rng.choice(names),)
            return Event(at_s=at_s, what=what, names=one, amount=down_s)
        case "jump":
            jump_s = rng.choice((-3600.0, -5.0, 5.0, 3600.0))
            one = (rng.choice(plan.people),)
            return Event(at_s=at_s, what=what, names=one, amount=jump_s)
        case _:
            return Event(at_s=at_s, what=what)
