"""The local API as an ASGI application: routes in, JSON documents out.

Whatever a route raises becomes a `p2pnode.error/1` document.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from p2pnode.failures import BAD_REQUEST, INTERNAL, Failure
from p2pnode.rule_failures import rule_failure
from p2pnode.store_failures import STORE_ERRORS, store_failure
from protocols.errors import ProtocolError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute


def build(routes: Sequence[BaseRoute]) -> Starlette:
    """Return the application that serves `routes`.

    A fault of ours answers 500 with reason `internal`, and is raised again so
    that the server logs it; the client learns nothing of it.
    """
    return Starlette(
        routes=list(routes),
        exception_handlers={
            Failure: _failed,
            ProtocolError: _failed,
            HTTPException: _failed,
            Exception: _failed,
            **dict.fromkeys(STORE_ERRORS, _failed),
        },
    )


async def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object a request carries.

    Raises:
        Failure: `bad-json`, it carries something else.
    """
    try:
        document = json.loads(await request.body())
        json.dumps(document, ensure_ascii=False).encode()  # no half of a character
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise Failure(
            "bad-json",
            "The request's body is not a JSON object.",
            'A body such as {"address": "..."}.',
            "See the API's description.",
            BAD_REQUEST,
        )
    return document


async def _failed(_request: Request, error: Exception) -> JSONResponse:
    failure = as_failure(error)
    return JSONResponse(failure.document(), failure.status)


def as_failure(error: Exception) -> Failure:
    """Put an exception into the words of the API."""
    match error:
        case Failure():
            return error
        case ProtocolError():
            return rule_failure(error)
        case HTTPException():
            return Failure(
                "unknown-path" if error.status_code == 404 else "wrong-method",
                f"The local API says: {error.detail}.",
                "A path and method of this version's API.",
                "Use the p2pnode command of the same version as the node.",
                error.status_code,
            )
        case _:
            return store_failure(error) or Failure(
                "internal",
                "The node failed at this request; its log says how.",
                cure="Report it, with the log.",
                status=INTERNAL,
            )
