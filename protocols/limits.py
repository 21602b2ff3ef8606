"""Every bound of the protocol, each with its why. Specs quote this table."""

from __future__ import annotations

from typing import Final

INT_MAX: Final = 2**53 - 1
"""Largest integer on the wire: what a JavaScript number holds exactly."""

TIME_MAX: Final = 253_402_300_799_999
"""Last ms of the year 9999: with any duration added it stays below `INT_MAX`."""

DEPTH_MAX: Final = 16
"""Nesting of arrays: the deepest format needs 7."""

FRAME_MAX: Final = 65_536
"""Bytes of one neighbour frame; the largest record fits with room to spare."""

CLAIM_MAX: Final = 49_152
"""Bytes of a claim: one `part` of a list, or 1,024 serial keys."""

NOTE_MAX: Final = 8_192
"""Bytes of a note: free text and digests, never a picture."""

HEADER_MAX: Final = 320
"""Bytes of a header: twelve fields at their largest take 263."""

RECORD_MAX: Final = HEADER_MAX + CLAIM_MAX + NOTE_MAX + 64 + 32
"""Bytes of a wire record: header, claim, note, signature and their lengths."""

LIST_MAX: Final = 8_192
"""Elements of any array, unless the format says less."""

TEXT_MAX: Final = 1_024
"""UTF-8 bytes of a text, unless the format says less."""

NAME_MAX: Final = 192
"""UTF-8 bytes of a name or title: 64 Chinese characters."""

HEADS_MAX: Final = 500
"""Heads in one `seen`: 500 x 75 bytes stay below a claim."""

PART_MAX: Final = 32_768
"""Bytes a `part` carries."""

STEPS_MAX: Final = 2_000
"""Steps of one cut entry, so that an entry fits one part."""

SERIALS_MAX: Final = 1_024
"""Serial keys that stand in the `tags` record itself."""

KEYS_MAX: Final = 4
"""Keys of one merchant, host, device or sponsor: the next takes over."""

WITNESSES_MAX: Final = 7
"""Witnesses of a campaign: 1, 4 or 7."""

ROUNDS_MAX: Final = 100
"""Rounds of a campaign."""

CLOSES_MAX: Final = 8
"""Closes of one round by one key that are judged: two already are the proof."""

NAMED_MAX: Final = 256
"""Merchants, hosts and devices that the terms name."""

GROUPS_MAX: Final = 32
"""Tag groups that the terms name."""

STAGES_MAX: Final = 32
"""Stages of a campaign."""

CONDITIONS_MAX: Final = 16
"""Conditions of a campaign."""

AFTER_MAX: Final = 8
"""Stages one stage can ask for, or records one outcome can name."""

TAGS_PER_RECORD_MAX: Final = 128
"""Tags in one `tags` record; its bytes bound it further."""

CHAIN_MAX: Final = 1_024
"""Depth of a referral chain."""

CONTINUES_MAX: Final = 8
"""Further keys of one person, besides the root."""

JOIN_BITS_MAX: Final = 30
"""Work for a public invite: about 20 minutes on one core."""

PART_SPARE: Final = 64
"""Records beyond a feed's cap that witnesses still cover: erase and redeem."""

PREFIX_MAX: Final = 64
"""Hex digits of a trie prefix: the whole of a SHA-256."""

BUCKET_MAX: Final = 4
"""Feeds below a prefix that are listed, not hashed: measured, fewest bytes."""

DIGEST_SIZE: Final = 6
"""Bytes of a trie digest: salted by both sides, so 2^-48 a comparison is chance."""

COMPARE_MAX: Final = 57_344
"""Bytes of the lists in one `compare`: what does not fit waits for the next."""

NODES_MAX: Final = 512
"""Trie nodes in one `compare`: each takes up to 170 bytes."""

ROWS_MAX: Final = 4_096
"""Buckets, or heads, in one `compare`: a head takes 12 bytes or more."""

SHARED_MAX: Final = 128
"""Scopes that two neighbours can share."""

WANTS_OPEN_MAX: Final = 256
"""Ranges asked for and not yet served, per neighbour and direction."""

WANTS_MAX: Final = 4_096
"""Ranges a session means to ask for; more are found again by comparing."""

WANT_IDS_MAX: Final = 256
"""Record ids in one `want-ids`."""

BATCH_MAX: Final = 61_440
"""Bytes of the records in one frame; the largest record fits."""

BATCH_RECORDS_MAX: Final = 512
"""Records in one frame: the smallest takes about 300 bytes."""

PROOFS_MAX: Final = 64
"""Fork proofs in one frame: each takes up to 780 bytes."""

CARDS_MAX: Final = 16
"""Peer cards in one `peers`: few at a time."""

ADDRESSES_MAX: Final = 8
"""Addresses of one peer."""

ADDRESS_MAX: Final = 256
"""UTF-8 bytes of an address or peer id."""

WALKS_MAX: Final = 4
"""Times a neighbour may make us walk our whole trie between two refills."""

CREDIT_GRANT: Final = 1_048_576
"""Bytes of records a peer may send before what came is dealt with: ours."""

CREDIT_MAX: Final = 16_777_216
"""Bytes of records that anybody may grant at once: above, it is a mistake."""

CREDIT_STEP: Final = 131_072
"""With less credit nothing is read from the store: it takes a frame and a record."""

HEADS_KNOWN_MAX: Final = 4_096
"""Heads of a neighbour that are remembered, so as not to tell it what it told."""

PROOF_MAX: Final = 268_435_456
"""Bytes of a proof file: read whole before it says anything. What needs more
than a quarter of a GiB is shown by a bundle."""
