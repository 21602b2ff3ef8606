"""What can be wrong with terms beyond a single value, and the cure of each."""

from __future__ import annotations

from collections.abc import Sequence

from p2pnode.file_fault import FileFault, words


def no_stage() -> FileFault:
    """There is no `[[stage]]`."""
    return FileFault(
        "missing-key",
        words("There is no stage."),
        words("At least one [[stage]]."),
        words("Add what people should do and what it is worth."),
    )


def redeem_too_early() -> FileFault:
    """Vouchers would expire before they exist."""
    return FileFault(
        "bad-order",
        words("Rewards could not be redeemed: the last round ends later."),
        words("A time after the last round's finals."),
        words("Choose a later redeem_until."),
    )


def longer_than_campaign() -> FileFault:
    """No act of the stage could be judged before the last round."""
    return FileFault(
        "bad-refund",
        words("The campaign ends before late and refund have passed even once."),
        words("late and refund together shorter than all rounds."),
        words("Shorten them, or add rounds."),
    )


def contradiction(detail: str) -> FileFault:
    """`check_terms` refuses what no check here foresaw."""
    return FileFault(
        "bad-terms",
        words("These terms contradict themselves: {detail}."),
        words("Terms as protocols/spec/0005-terms.md describes them."),
        words("Correct this part."),
        detail=detail,
    )


def witness_count(count: int) -> FileFault:
    """Not 1, 4 or 7 witnesses."""
    if count in {2, 3}:
        message = words(
            "{count} witnesses are no better than 1 against lies, and worse"
            " against a crash."
        )
    else:
        message = words("{count} witnesses tolerate no more lies than fewer do.")
    return FileFault(
        "witness-count",
        message,
        words("1, 4 or 7 witnesses."),
        words("Use 1, 4 or 7: of 4 one, of 7 two may lie or be off."),
        count=count,
    )


def owner_count(owners: int, keys: int) -> FileFault:
    """Not one owner a witness."""
    return FileFault(
        "wrong-count",
        words("{owners} owners are named for {keys} witnesses."),
        words("One owner for each key, in the same order."),
        words("Complete the list, or delete it."),
        owners=owners,
        keys=keys,
    )


def closes_before_it_opens() -> FileFault:
    """The first round would end before it begins."""
    return FileFault(
        "bad-order",
        words("The first round closes before the campaign opens."),
        words("A time after opens."),
        words("Choose a later time for first."),
    )


def stage_closes_first() -> FileFault:
    """A stage that would end before it begins."""
    return FileFault(
        "bad-order",
        words("This stage closes before it opens."),
        words("A time after opens."),
        words("Choose a later time, or delete the line."),
    )


def final_too_early() -> FileFault:
    """Finals would be valid while evidence is still accepted."""
    return FileFault(
        "bad-order",
        words("Witnesses would finish while they still accept evidence."),
        words("final longer than accept."),
        words('For example accept = "10m" and final = "15m".'),
    )


def residue_key() -> FileFault:
    """A key although the sponsor is the payee."""
    return FileFault(
        "bad-residue",
        words("The sponsor's key is known."),
        words('No key with to = "sponsor".'),
        words('Delete the key, or write to = "charity".'),
    )


def key_of_another() -> FileFault:
    """Two parties share a key but not all keys."""
    return FileFault(
        "duplicate",
        words("One of these keys belongs to another party."),
        words("A key in one party only, or the same keys in both roles."),
        words("Give both roles of a shop the same list of keys."),
    )


def same_group(name: str) -> FileFault:
    """Two tag groups of one name."""
    return FileFault(
        "duplicate",
        words("There are two tag groups {name}."),
        words("One name each."),
        words("Delete one."),
        name=name,
    )


def no_tag_file(file: str) -> FileFault:
    """The tag file cannot be opened."""
    return FileFault(
        "no-file",
        words("The tag file {file} cannot be opened."),
        words("A file beside the terms that 'p2pnode tag new' wrote."),
        words("Make it first, or correct its name."),
        file=file,
    )


def bad_tag_file(error: str) -> FileFault:
    """The tag file is damaged."""
    return FileFault(
        "bad-tag-file",
        "{error}",
        words("A file as 'p2pnode tag new' wrote it, unchanged."),
        words("Take it from your backup, or make new tags."),
        error=error,
    )


def other_group(file: str, name: str) -> FileFault:
    """The tag file is of another group."""
    return FileFault(
        "other-group",
        words("The tags in {file} are of the group {name}."),
        words("The group's own name."),
        words('Write name = "{name}", or name the right file.'),
        file=file,
        name=name,
    )


def same_stage(name: str) -> FileFault:
    """Two stages of one id."""
    return FileFault(
        "duplicate",
        words("There are two stages {name}."),
        words("One id each."),
        words("Rename one."),
        name=name,
    )


def scan_without_tags() -> FileFault:
    """A scan stage names no tag group."""
    return FileFault(
        "missing-key",
        words("A scan needs tags."),
        words("tags with the name of a tag group."),
        words('Add tags = "...", or choose another act.'),
    )


def refund_of_no_outcome() -> FileFault:
    """A refund window on a stage without amounts."""
    return FileFault(
        "bad-refund",
        words("Only an outcome can be refunded."),
        words('refund on a stage with act = "outcome".'),
        words("Delete the line."),
    )


def too_many_after(most: int) -> FileFault:
    """A stage asks for too many."""
    return FileFault(
        "wrong-count",
        words("Too many stages must come first."),
        words("At most {most}."),
        words("Name only the last of each line; it asks for those before it."),
        most=most,
    )


def no_earlier_stage(name: str) -> FileFault:
    """`after` names no stage above this one."""
    return FileFault(
        "unknown-stage",
        words("No stage above this one is called {name}."),
        words("The id of an earlier stage."),
        words("Correct the id, or move that stage up."),
        name=name,
    )


def no_stage_named(name: str) -> FileFault:
    """A condition names no stage."""
    return FileFault(
        "unknown-stage",
        words("No stage is called {name}."),
        words("The id of a stage."),
        words("Correct the id."),
        name=name,
    )


def amount_or_share() -> FileFault:
    """A reward with both or neither."""
    return FileFault(
        "bad-reward",
        words("A reward is either an amount or a share of the outcome's amount."),
        words('amount = 500, or amount_from = "outcome" with percent_bp = 500.'),
        words("Write one of them."),
    )


def share_of_no_outcome() -> FileFault:
    """A share of an act that has no amount."""
    return FileFault(
        "bad-reward",
        words("Only an outcome has an amount to take a share of."),
        words('amount = 500, or act = "outcome".'),
        words("Write a fixed amount."),
    )


def more_than_all() -> FileFault:
    """Host and actor together would get more than the pool."""
    return FileFault(
        "bad-reward",
        words("host_bp and back_bp together are more than the whole."),
        words("At most 10000 together; 10000 is 100 %."),
        words("Lower one of them."),
    )


def rule_not_available(name: str) -> FileFault:
    """A rule of the protocol that is not settled yet."""
    return FileFault(
        "rule-not-available",
        words("The rule {name} is not available yet."),
        words("flat or halving."),
        words("Use flat or halving, or wait for a later version."),
        name=name,
    )


def first_of_flat() -> FileFault:
    """`first` with another rule than flat."""
    return FileFault(
        "bad-reward",
        words("Only the rule flat knows first."),
        words('first with rule = "flat".'),
        words("Delete the line; once and budget bound the other rules."),
    )


def one_count(names: Sequence[str]) -> FileFault:
    """A condition that counts nothing, or two things."""
    return FileFault(
        "bad-condition",
        words("A condition counts one thing."),
        words("One of: {names}."),
        words("Write two conditions if both must be met."),
        names=", ".join(names),
    )


def group_not_fixed(name: str) -> FileFault:
    """A condition counts tags that could still be added."""
    return FileFault(
        "group-not-fixed",
        words("The tags {name} are not fixed by these terms."),
        words("A [[tag_group]] of that name."),
        words("Add it, with the file that 'p2pnode tag new' wrote."),
        name=name or "-",
    )


def too_many_tags(least: int, count: int) -> FileFault:
    """A condition that can never be met."""
    return FileFault(
        "too-many-tags",
        words("{least} tags are asked for, but the group has {count}."),
        words("At most {count}."),
        words("Lower the number, or make more tags."),
        least=least,
        count=count,
    )
