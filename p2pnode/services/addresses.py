"""Multiaddresses as texts: whose they are, and where in the net they lie."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from protocols.limits import ADDRESS_MAX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pnode.ports import PeerId


def peer_of(address: str) -> PeerId | None:
    """The peer id an address ends in, or None."""
    before, _, peer = address.rpartition("/p2p/")
    sound = bool(before) and bool(peer) and "/" not in peer
    return peer if sound and len(address.encode()) <= ADDRESS_MAX else None


def is_loopback(address: str) -> bool:
    """Whether an address leads to the machine of whoever dials it."""
    host = _host(address)
    return host is not None and host.is_loopback


def is_plausible(address: str, peer: PeerId, *, local: bool) -> bool:
    """Whether it is worth keeping that a peer is said to be there.

    Args:
        address: what was said.
        peer: whom it is said of.
        local: whether this node itself is only on loopback.
    """
    host = _host(address)
    if peer_of(address) != peer:
        return False
    if host is None:
        return True
    nowhere = host.is_unspecified or host.is_multicast
    return not nowhere and (local or not host.is_loopback)


def prefix_of(address: str) -> str:
    """The part of the internet an address lies in; empty outside of it.

    Addresses are cheap within one prefix and dear across many. Names are cheap,
    wherever they lead: all of them are one part.
    """
    if address.startswith("/dns"):
        return "dns"
    host = _host(address)
    if host is None or not host.is_global:
        return ""
    size = 16 if host.version == 4 else 32
    number = int(host) >> (host.max_prefixlen - size)
    return f"{host.version}/{number:x}"


def shown(addresses: Sequence[str], dialled: str | None) -> tuple[str, ...]:
    """Which of my addresses a peer is told.

    Those on loopback only if I have no others, and not to a peer that was
    dialled somewhere else: who comes by loopback knows them already.
    """
    outside = tuple(each for each in addresses if not is_loopback(each))
    strange = dialled is not None and not is_loopback(dialled)
    return outside or (() if strange else tuple(addresses))


def _host(address: str) -> IPv4Address | IPv6Address | None:
    parts = address.split("/")
    if parts[0] or parts[1:2] not in (["ip4"], ["ip6"]):
        return None
    try:
        host = ip_address(parts[2])
    except (ValueError, IndexError):
        return None
    mapped = host.ipv4_mapped if isinstance(host, IPv6Address) else None
    return mapped or host
