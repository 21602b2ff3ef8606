"""Those who cheat for money, one a seed: whole nodes with a part that lies.

`roles` says which there are; here is what each does, and what must come of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pnode.swarm.torture.cheats import merchants, pairs, people, sponsor, witness
from p2pnode.swarm.torture.cheats.cheat import Cheat

if TYPE_CHECKING:
    from p2pnode.swarm.torture.play import Play

KINDS: Final[dict[str, type[Cheat]]] = {
    "": Cheat,
    "omits": sponsor.Omits,
    "pads": sponsor.Pads,
    "misdates": sponsor.Misdates,
    "keeps-a-part": sponsor.KeepsAPart,
    "keeps-a-final": pairs.KeepsAFinal,
    "closes-twice": sponsor.ClosesTwice,
    "forks-its-close": sponsor.ForksItsClose,
    "lies-in-a-root": sponsor.LiesInARoot,
    "never-closes": sponsor.NeverCloses,
    "backdates": witness.Backdates,
    "lists-nothing": witness.ListsNothing,
    "switches-branches": witness.SwitchesBranches,
    "one-sided-final": witness.OneSidedFinal,
    "forks-its-final": witness.ForksItsFinal,
    "forks-at-0": people.ForksAFeed,
    "forks-later": people.ForksAFeed,
    "steals-serials": people.StealsSerials,
    "overuses-an-invite": people.OverusesAnInvite,
    "floods-an-invite": people.FloodsAnInvite,
    "replays-a-scan": people.ReplaysAScan,
    "erases": people.Erases,
    "comes-late": people.ComesLate,
    "names-a-puppet": merchants.NamesAPuppet,
    "reverses-late": merchants.ReversesLate,
    "exceeds-caps": merchants.ExceedsCaps,
    "sponsor-and-witness": pairs.SponsorAndWitness,
}


def cheat_of(name: str, play: Play) -> Cheat:
    """The cheat of a seed; "": nobody."""
    return KINDS[name](play)
