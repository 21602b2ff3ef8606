"""The paths of the local API, each a thin door to one service.

| path | what |
|---|---|
| `GET /status` | the node in short |
| `GET /scopes` | how much it holds of each scope, and the root to compare |
| `GET /peers` | neighbours |
| `POST /peers`, `/peers/ping`, `/peers/block`, `/peers/unblock` | change them |
| `GET /campaigns`, `POST /campaigns` | list, publish |
| `POST /campaigns/follow`, `/campaigns/join` | by id, by link |
| `GET /campaigns/{id}`, `.../verify`, `.../explain` | look |
| `GET /campaigns/{id}/evidence`, `.../bundle`, `.../proof` | prove |
| `POST /campaigns/{id}/invite`, `.../close`, `.../claim` | act |
| `POST /campaigns/{id}/dispute`, `.../erase` | say what is wrong; take back |
| `POST /campaigns/{id}/continue` | go on under a further key |
| `POST /campaigns/{id}/card`, `.../attest`, `.../outcome`, `.../reverse` | vouch |
| `POST /scan` | sign what was scanned |
| `GET /rewards` | what closes pay me |
| `POST /campaigns/{id}/redeem` | spend a line of mine at a shop |
| `POST /till/accept`, `/till/owe`, `/till/auto`, `/till/paid` | a shop's till |
| `GET /books` | what is accepted, owed and paid |
| `POST /keys/next`, `/backup` | give up an author key; copy the store |

`{id}` is a campaign id, or as much of it as makes it the only one, or `-`
where the node follows only one campaign.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from p2pnode.api.app import json_body
from p2pnode.failures import BAD_REQUEST, NOT_FOUND, Failure
from p2pnode.services import documents, explaining, till_documents, vouching
from protocols.bundle import write_bundle
from protocols.codec import decode
from protocols.errors import ProtocolError
from protocols.invite_link import invite_link_text, read_invite_link
from protocols.join import CARD, Card
from protocols.keys import AuthorKey, RecordId
from protocols.limits import INT_MAX, SERIALS_MAX
from protocols.settlement.redeem import read_slip
from protocols.shape import blob, listof, option, row, text
from protocols.tags.code import read_code
from protocols.tags.entry import ENTRY
from protocols.terms import TERMS
from protocols.text import (
    Letter,
    author_text,
    campaign_text,
    decode_link,
    encode_link,
    read_author,
    read_campaign,
)

if TYPE_CHECKING:
    from starlette.requests import Request

    from p2pnode.node import Node
    from p2pnode.services.closing import Line
    from p2pnode.services.library import View

PEER_ID = re.compile("[1-9A-HJ-NP-Za-km-z]{46,64}")
"""A libp2p peer id in base58: 52 characters where the key is Ed25519."""

ID_DIGITS = 64
"""Of a record's id in hex."""

BEGINNING = re.compile(f"[0-9a-fA-F]{{8,{ID_DIGITS}}}")
"""So much of an id, at least, can name a record."""

PUBLISH_MAX = 1 << 20
"""Bytes of terms with their tags."""

GROUPS = listof(
    row(text(), listof(row(ENTRY, option(listof(blob(32), SERIALS_MAX, 1))))), 64
)
"""Tag groups as they are published: [name, [[entry, serial keys or nil]]]."""

Handler = Callable[["Request"], Awaitable[Response]]


def routes(node: Callable[[], Node]) -> list[Route]:
    """Every route of the local API, for whichever node is at work."""
    doors = Doors(node)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/status", doors.status),
        ("GET", "/scopes", doors.scopes),
        ("GET", "/peers", doors.peers),
        ("POST", "/peers", doors.add_peer),
        ("POST", "/peers/ping", doors.ping_peer),
        ("POST", "/peers/block", doors.block_peer),
        ("POST", "/peers/unblock", doors.unblock_peer),
        ("GET", "/campaigns", doors.campaigns),
        ("POST", "/campaigns", doors.publish),
        ("POST", "/campaigns/follow", doors.follow),
        ("POST", "/campaigns/join", doors.join),
        ("GET", "/campaigns/{id}", doors.campaign),
        ("GET", "/campaigns/{id}/verify", doors.verify),
        ("GET", "/campaigns/{id}/explain", doors.explain),
        ("GET", "/campaigns/{id}/evidence", doors.evidence),
        ("GET", "/campaigns/{id}/bundle", doors.bundle),
        ("GET", "/campaigns/{id}/proof", doors.proof),
        ("POST", "/campaigns/{id}/invite", doors.invite),
        ("POST", "/campaigns/{id}/close", doors.close),
        ("POST", "/campaigns/{id}/dispute", doors.dispute),
        ("POST", "/campaigns/{id}/card", doors.card),
        ("POST", "/campaigns/{id}/attest", doors.attest),
        ("POST", "/campaigns/{id}/outcome", doors.outcome),
        ("POST", "/campaigns/{id}/reverse", doors.reverse),
        ("POST", "/campaigns/{id}/claim", doors.claim),
        ("POST", "/campaigns/{id}/erase", doors.erase),
        ("POST", "/scan", doors.scan),
        ("GET", "/rewards", doors.rewards),
        ("POST", "/campaigns/{id}/redeem", doors.redeem),
        ("POST", "/till/accept", doors.accept),
        ("POST", "/till/owe", doors.owe),
        ("POST", "/till/auto", doors.auto),
        ("POST", "/till/paid", doors.paid),
        ("GET", "/books", doors.ledger),
        ("POST", "/campaigns/{id}/continue", doors.continue_),
        ("POST", "/keys/next", doors.next_key),
        ("POST", "/backup", doors.backup),
    ]
    return [Route(path, handler, methods=[method]) for method, path, handler in table]


class Doors:
    """One coroutine a path: read the request, ask a service, answer."""

    def __init__(self, node: Callable[[], Node]) -> None:
        self._at_work = node

    @property
    def _node(self) -> Node:
        return self._at_work()

    async def status(self, _request: Request) -> Response:
        """The node in short."""
        return JSONResponse(await self._node.status())

    async def scopes(self, _request: Request) -> Response:
        """Every followed scope: feeds, records and root."""
        return JSONResponse(self._node.scopes())

    async def peers(self, _request: Request) -> Response:
        """Known peers."""
        listing = self._node.neighbours.listing()
        return JSONResponse({"format": "p2pnode.peers/1", "peers": listing})

    async def add_peer(self, request: Request) -> Response:
        """Remember an address and dial it."""
        address = _text(await json_body(request), "address")
        await self._node.neighbours.add(address)
        return JSONResponse({"format": "p2pnode.peer/1", "address": address})

    async def ping_peer(self, request: Request) -> Response:
        """Whether a peer answers."""
        peer = _peer(await json_body(request))
        ms = await self._node.neighbours.ping(peer)
        return JSONResponse({"format": "p2pnode.ping/1", "peer": peer, "ms": ms})

    async def block_peer(self, request: Request) -> Response:
        """Drop a peer and refuse it."""
        peer = _peer(await json_body(request))
        await self._node.neighbours.block(peer)
        return JSONResponse({"format": "p2pnode.peer/1", "peer": peer})

    async def unblock_peer(self, request: Request) -> Response:
        """Let a blocked peer come back."""
        peer = _peer(await json_body(request))
        await self._node.neighbours.unblock(peer)
        return JSONResponse({"format": "p2pnode.peer/1", "peer": peer})

    async def campaigns(self, _request: Request) -> Response:
        """All followed campaigns, also those whose terms are not here yet."""
        found = []
        for entry in self._node.library.entries:
            note: dict[str, Any] = {
                "campaign": campaign_text(entry.campaign),
                "title": entry.title,
                "terms": False,
                "joined": entry.person_index is not None,
            }
            try:
                view = await self._node.library.view(entry.campaign)
            except Failure:
                found.append(note)
                continue
            shown = await self._campaign(view)
            found.append({**shown, "terms": True, "joined": note["joined"]})
        return JSONResponse({"format": "p2pnode.campaigns/1", "campaigns": found})

    async def publish(self, request: Request) -> Response:
        """Publish terms and tags, both canonical MessagePack in hex."""
        body = await json_body(request)
        terms = TERMS.read(decode(_hex(body, "terms"), PUBLISH_MAX))
        groups = GROUPS.read(decode(_hex(body, "tags"), PUBLISH_MAX))
        same = any(one.title == terms.title for one in self._node.library.entries)
        campaign = await self._node.acts.publish(terms, groups)
        shown = await self._campaign(await self._node.library.view(campaign))
        return JSONResponse({**shown, "same_title": same})

    async def follow(self, request: Request) -> Response:
        """Follow a campaign by its id or by any link of it, without joining."""
        body = await json_body(request)
        named = _text(body, "campaign")
        addresses: Sequence[str] = _texts(body, "addresses")
        if named.upper().startswith("P2PNODE:"):
            link = read_invite_link(named)
            campaign, addresses = link.invite.campaign, link.addresses
        else:
            campaign = read_campaign(named)
        await self._node.acts.follow(campaign, addresses)
        return JSONResponse(
            {"format": "p2pnode.followed/1", "campaign": campaign_text(campaign)}
        )

    async def join(self, request: Request) -> Response:
        """Join by an invite link."""
        link = read_invite_link(_text(await json_body(request), "link"))
        record = await self._node.acts.join(link)
        return JSONResponse(
            {
                "format": "p2pnode.joined/1",
                "campaign": campaign_text(link.invite.campaign),
                "title": link.title,
                "author": author_text(record.author),
                "inviter": author_text(link.invite.inviter),
                "record": record.id.hex(),
            }
        )

    async def campaign(self, request: Request) -> Response:
        """One campaign."""
        return await self._shown(await self._view(request))

    async def verify(self, request: Request) -> Response:
        """Every close, recomputed here, and what can be proven of whom."""
        return await self._verification(await self._view(request))

    async def proof(self, request: Request) -> Response:
        """The gravest proof, or the first of a kind, as a file."""
        view = await self._view(request)
        kind = request.query_params.get("kind", "")
        return StreamingResponse(
            await self._node.proofs.file(view, kind),
            media_type="application/octet-stream",
        )

    async def dispute(self, request: Request) -> Response:
        """Sign that closes are wrong, for those who follow the campaign."""
        view = await self._view(request)
        signed = await self._node.proofs.dispute(view)
        closes = [record.claim().close.hex() for record in signed]
        return JSONResponse({"format": "p2pnode.dispute/1", "closes": closes})

    async def explain(self, request: Request) -> Response:
        """Why each line is what it is."""
        view = await self._view(request)
        named = request.query_params.get("person", "")
        person: AuthorKey | None = None
        if named == "me":
            known = self._node.library.known_as(view)
            person = known or self._node.library.require_key(view).author
        elif named:
            person = read_author(named)
        verified = await self._node.books.verified(view)
        return await self._node.books.read(
            view,
            lambda still: JSONResponse(explaining.explanation(still, verified, person)),
        )

    async def evidence(self, request: Request) -> Response:
        """My records of a campaign, and how many witnesses have seen each."""
        view = await self._view(request)
        mine, erasures = self._mine(view), self._node.feeds.erasures
        return await self._node.books.read(
            view,
            lambda still: JSONResponse(documents.evidence(still, mine, erasures)),
        )

    async def bundle(self, request: Request) -> Response:
        """The campaign's whole evidence as one file."""
        view = await self._view(request)
        records = list(view.evidence.by_id.values())
        return StreamingResponse(
            write_bundle(view.terms.network, view.campaign, records),
            media_type="application/octet-stream",
        )

    async def invite(self, request: Request) -> Response:
        """A new invite link; it holds a secret and is shown once."""
        view, body = await self._view(request), await json_body(request)
        link = await self._node.acts.invite(
            view,
            uses=_number(body, "uses", 1),
            expires_ms=_number(body, "expires_ms", 0) or None,
        )
        return JSONResponse(
            {
                "format": "p2pnode.invite/1",
                "campaign": campaign_text(view.campaign),
                "title": view.terms.title,
                "uses": link.invite.uses,
                "expires_ms": link.invite.expires_ms,
                "receipt": await self._node.books.read(
                    view,
                    lambda still: documents.first_receipt(
                        still, link.invite.inviter, self._node.feeds.erasures
                    ),
                ),
                "link": invite_link_text(link),
            }
        )

    async def close(self, request: Request) -> Response:
        """Close a round as the sponsor."""
        view, body = await self._view(request), await json_body(request)
        await self._node.books.close(view, _number(body, "round", 0) or None)
        return await self._verification(await self._node.library.view(view.campaign))

    async def card(self, request: Request) -> Response:
        """A short-lived code by which a shop can name me."""
        view, body = await self._view(request), await json_body(request)
        named = str(body.get("merchant", ""))
        merchant = read_author(named) if named else None
        card = await self._node.acts.show_card(view, merchant)
        return JSONResponse(
            {
                "format": "p2pnode.card/1",
                "campaign": campaign_text(view.campaign),
                "author": author_text(card.author),
                "code": encode_link(Letter.CARD, CARD.write(card)),
            }
        )

    async def attest(self, request: Request) -> Response:
        """Stand behind somebody's act."""
        view, body = await self._view(request), await json_body(request)
        record = await self._node.acts.attest(
            view,
            _record(view, body),
            amount=_number(body, "amount", 0),
            card=_card(body),
            stage=str(body["stage"]) if body.get("stage") else None,
        )
        return JSONResponse(vouching.word(view, record))

    async def outcome(self, request: Request) -> Response:
        """Say that a person did something, for an amount."""
        view, body = await self._view(request), await json_body(request)
        card = _card(body)
        named = body.get("author")
        if named is None and card is None:
            raise _bad_field("author", "an author key, or a card code")
        record = await self._node.acts.outcome(
            view,
            author=read_author(str(named)) if named else card.author,  # type: ignore[union-attr]
            amount=_number(body, "amount", 0),
            stage=str(body.get("stage", "")),
            after=[_named(view, one) for one in _texts(body, "after")],
            card=card,
        )
        return JSONResponse(vouching.word(view, record))

    async def reverse(self, request: Request) -> Response:
        """Refund an outcome of mine."""
        view, body = await self._view(request), await json_body(request)
        record = await self._node.acts.reverse(
            view, _record(view, body), _number(body, "amount", 0)
        )
        return JSONResponse(vouching.reversal(view, record))

    async def claim(self, request: Request) -> Response:
        """My latest line of a campaign, as a voucher."""
        found = await self._node.books.claim(await self._view(request))
        return JSONResponse({"format": "p2pnode.claim/1", **self._line(found)})

    async def erase(self, request: Request) -> Response:
        """Ask everybody to drop a note of mine, or what a scan of mine says."""
        view, body = await self._view(request), await json_body(request)
        target = _record(view, body)
        claim = body.get("claim") is True
        erase = await self._node.acts.erase(view, target, claim=claim)
        record = view.evidence.lookup(target)
        assert record is not None, "it was just erased by its id"
        return JSONResponse(documents.erased(view, record, erase))

    async def scan(self, request: Request) -> Response:
        """Sign a scanned code."""
        body = await json_body(request)
        result = await self._node.acts.scan(
            read_code(_text(body, "code")),
            str(body.get("campaign", "")),
            str(body.get("stage", "")),
        )
        return JSONResponse(documents.scanned(result))

    async def continue_(self, request: Request) -> Response:
        """Go on in a campaign under a further key of the same person."""
        named = request.path_params["id"]
        entry = self._node.library.find("" if named == "-" else named)
        record = await self._node.succession.proceed(entry.campaign)
        view = self._node.library.cached(entry.campaign)
        return JSONResponse(
            {
                "format": "p2pnode.continued/1",
                "campaign": campaign_text(entry.campaign),
                "title": entry.title if view is None else view.terms.title,
                "author": author_text(record.author),
                "record": record.id.hex(),
            }
        )

    async def next_key(self, _request: Request) -> Response:
        """Give up the author key at work for the next."""
        keys = await self._node.succession.next_key()
        return JSONResponse(
            {"format": "p2pnode.keys/1", "keys": [author_text(key) for key in keys]}
        )

    async def backup(self, request: Request) -> Response:
        """Copy the store, as it is at one moment, to a new file."""
        path = Path(_text(await json_body(request), "file"))
        if not path.is_absolute():
            raise _bad_field("file", "an absolute path")
        try:
            await self._node.store.backup(path)
        except FileExistsError:
            raise _bad_field("file", "a name that is free") from None
        except OSError as error:
            raise Failure(
                "file-not-written",
                "{file} cannot be written: {why}.",
                "A folder on a disk with room, that this account may write.",
                "Choose another place.",
                file=path,
                why=error.strerror,
            ) from None
        return JSONResponse({"format": "p2pnode.copied/1", "file": str(path)})

    async def rewards(self, _request: Request) -> Response:
        """All my lines."""
        lines = [self._line(one) for one in await self._node.books.lines()]
        return JSONResponse({"format": "p2pnode.rewards/1", "lines": lines})

    async def redeem(self, request: Request) -> Response:
        """Spend a part of a line of mine: the slip is to be handed over."""
        view, body = await self._view(request), await json_body(request)
        if body.get("again") is not True:
            await self._node.books.check_alive(view, self._node.clock.now_ms())
        found = await self._node.till.redeem(
            view,
            _number(body, "amount", 0),
            read_author(_text(body, "acceptor")),
            again=body.get("again") is True,
        )
        return JSONResponse(till_documents.spent(found))

    async def accept(self, request: Request) -> Response:
        """Take a customer's slip; it is kept before this is answered."""
        body, till = await json_body(request), self._node.till
        limit = _number(body, "limit", 0) if "limit" in body else None
        slip, sure = read_slip(_text(body, "slip")), body.get("sure") is True
        noted, level = await till.accept(slip, limit, sure=sure)
        return JSONResponse(await till_documents.accepted(till, noted, level))

    async def owe(self, request: Request) -> Response:
        """Recognise one slip, or, without one, every redeem that waits."""
        body, till = await json_body(request), self._node.till
        if "slip" in body:
            record, new = await till.recognise(read_slip(_text(body, "slip")))
            signed = [record] if new else []
        else:
            signed = await till.recognise_all()
        return JSONResponse(await till_documents.owed(self._node.library, signed))

    async def auto(self, request: Request) -> Response:
        """Recognise redeems as they arrive from now on, or no longer."""
        till = self._node.till
        await till.set_auto(on=(await json_body(request)).get("on") is True)
        return JSONResponse({"format": "p2pnode.auto/1", "on": till.auto})

    async def paid(self, request: Request) -> Response:
        """Sign, as the creditor, that a debtor paid."""
        body, till = await json_body(request), self._node.till
        debtor = read_author(_text(body, "debtor"))
        signed = await till.paid(
            debtor, _number(body, "amount", 0), str(body.get("campaign", ""))
        )
        return JSONResponse(await till_documents.paid(till, debtor, signed))

    async def ledger(self, _request: Request) -> Response:
        """What is accepted, owed and paid."""
        node = self._node
        return JSONResponse(await till_documents.books(node.library, node.till))

    async def _view(self, request: Request) -> View:
        named = request.path_params["id"]
        entry = self._node.library.find("" if named == "-" else named)
        return await self._node.library.view(entry.campaign)

    async def _shown(self, view: View) -> Response:
        return JSONResponse(await self._campaign(view))

    async def _campaign(self, view: View) -> documents.Document:
        found = await self._node.proofs.find(view)
        verified = await self._node.books.verify(view)
        me = self._me(view)
        return await self._node.books.read(
            view, lambda still: documents.campaign(still, verified, me, found)
        )

    async def _verification(self, view: View) -> Response:
        found = await self._node.proofs.find(view)
        verified = await self._node.books.verify(view)
        return await self._node.books.read(
            view,
            lambda still: JSONResponse(documents.verification(still, verified, found)),
        )

    def _line(self, found: Line) -> documents.Document:
        """A line of mine, and what of it can still be spent."""
        mine = self._node.library.my_keys(found.view)
        return documents.line(found, mine, self._node.clock.now_ms())

    def _me(self, view: View) -> AuthorKey | None:
        """The key I act with, or acted with before it was given up."""
        return next(iter(self._node.library.my_keys(view)), None)

    def _mine(self, view: View) -> Sequence[AuthorKey]:
        """All my keys in a campaign.

        Raises:
            Failure: `not-joined`.
        """
        mine = self._node.library.my_keys(view)
        return mine or (self._node.library.require_key(view).author,)


def _card(body: dict[str, Any]) -> Card | None:
    if not body.get("card"):
        return None
    letter, value = decode_link(str(body["card"]))
    if letter != Letter.CARD:
        raise _bad_field("card", "a card code, P2PNODE:C/...")
    try:
        return CARD.read(value)
    except ProtocolError:
        raise _bad_field("card", "a whole card code") from None


def _text(body: dict[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise _bad_field(field, "a text")
    return value


def _texts(body: dict[str, Any], field: str) -> list[str]:
    value = body.get(field, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise _bad_field(field, "a list of texts")
    return value


def _peer(body: dict[str, Any]) -> str:
    value = _text(body, "peer")
    if not PEER_ID.fullmatch(value):
        raise _bad_field("peer", "a peer id such as 12D3KooW..., see p2pnode peer list")
    return value


def _number(body: dict[str, Any], field: str, default: int) -> int:
    value = body.get(field, default)
    if type(value) is not int or not 0 <= value <= INT_MAX:
        raise _bad_field(field, "a whole number from 0 to 2^53 - 1")
    return value


def _hex(body: dict[str, Any], field: str, size: int | None = None) -> bytes:
    try:
        return _unhex(_text(body, field), size)
    except Failure:
        what = "bytes in hex" if size is None else f"{size} bytes in hex"
        raise _bad_field(field, what) from None


def _record(view: View, body: dict[str, Any]) -> RecordId:
    """The record that the request names."""
    try:
        return _named(view, _text(body, "record"))
    except Failure as failure:
        if failure.reason != "bad-hex":
            raise
        raise _bad_field("record", "32 bytes in hex, or their beginning") from None


def _named(view: View, name: str) -> RecordId:
    """The record of an id, or of as much of it as makes it the only one here.

    Raises:
        Failure: `bad-hex`, `unknown-record`, `several-records`.
    """
    if len(name) == ID_DIGITS or not BEGINNING.fullmatch(name):
        return RecordId(_unhex(name, 32))
    found = [one for one in view.evidence.by_id if one.hex().startswith(name.lower())]
    if len(found) == 1:
        return found[0]
    raise Failure(
        "several-records" if found else "unknown-record",
        "{count} records of this campaign that are here begin with {name}.",
        "The id of a record, or as much of it as makes it the only one.",
        "See p2pnode campaign evidence.",
        NOT_FOUND,
        count=len(found),
        name=name,
    )


def _unhex(value: str, size: int | None) -> bytes:
    try:
        data = bytes.fromhex(value)
    except ValueError:
        data = b""
    if not data or (size is not None and len(data) != size):
        raise Failure(
            "bad-hex",
            "That is not hex of the right length.",
            "The id of a record: 64 digits from 0 to f.",
            "See p2pnode campaign evidence.",
            BAD_REQUEST,
        )
    return data


def _bad_field(field: str, expected: str) -> Failure:
    return Failure(
        "bad-field",
        "The request's field {field} is missing or wrong.",
        expected,
        "Type it again; or use the p2pnode command of the node's own version.",
        BAD_REQUEST,
        field=field,
    )
