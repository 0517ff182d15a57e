"""Who may talk to the page's server: a browser on this machine that was given the token, from the page itself."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any, TypeAlias
from urllib.parse import parse_qs

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),  # an address may hold the token
    (b"content-security-policy", b"frame-ancestors 'self'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
DENIED = "open the address that `medseg app` printed: it holds a token, and this request has none"


class Guard:
    """ASGI middleware around the whole server.

    A request needs a ``Host`` of this server (else a page elsewhere could reach it through a name that it points here), no ``Origin``
    but this server's, and the token: once in the address, from then on in a cookie that only this server's pages can send.

    Args:
        application: to be guarded.
        token: secret of this run.
        port: on which the server listens.
        most_bytes: of a request's body; larger ones are answered with 413.
    """

    def __init__(self, application: Application, *, token: str, port: int, most_bytes: int) -> None:
        self.application = application
        self.most_bytes = most_bytes
        self._token = token.encode()
        # cookies are not separated by port
        self._cookie = f"medseg_{port}"
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""
        if scope["type"] == "lifespan":
            await self.application(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host = headers.get("host", "")
        if host not in self._hosts or headers.get("origin", f"http://{host}") != f"http://{host}":
            await _refuse(scope, send, 403, "this server answers only its own page, on this machine")
        elif self._is_token(self._in_address(scope)) and scope["type"] == "http":
            await self._let_in(scope, send)
        elif not self._is_token(self._in_cookie(headers.get("cookie", ""))):
            await _refuse(scope, send, 403, DENIED)
        elif int(headers["content-length"] if headers.get("content-length", "").isdecimal() else 0) > self.most_bytes:
            await _refuse(scope, send, 413, f"larger than {self.most_bytes // 10**6:,} MB")
        else:
            await self.application(scope, _bounded(receive, self.most_bytes), _with_headers(send))

    def _in_address(self, scope: Message) -> str:
        query: bytes = scope.get("query_string", b"")
        return parse_qs(query.decode("latin-1")).get("token", [""])[0]

    def _in_cookie(self, text: str) -> str:
        try:
            found = SimpleCookie(text).get(self._cookie)
        except CookieError:
            return ""
        return "" if found is None else found.value

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode("utf-8", "surrogateescape"), self._token)

    async def _let_in(self, scope: Message, send: Send) -> None:
        """Put the token into a cookie and take it out of the address, so that nobody reads it over a shoulder or in a history."""
        cookie = f"{self._cookie}={self._token.decode()}; HttpOnly; SameSite=Strict; Path=/"
        headers = [(b"location", scope["path"].encode()), (b"set-cookie", cookie.encode()), *HEADERS]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


class TooLargeError(Exception):
    """A body that goes on beyond what it may hold."""


def _bounded(receive: Receive, most: int) -> Receive:
    """`receive` that ends with an error once a body without a stated length is too large."""
    count = 0

    async def counted() -> Message:
        nonlocal count
        message = await receive()
        if message["type"] == "http.request":
            count += len(message.get("body", b""))
            if count > most:
                raise TooLargeError(f"a request of more than {most // 10**6:,} MB")
        return message

    return counted


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *HEADERS]
        await send(message)

    return sent


async def _refuse(scope: Message, send: Send, status: int, reason: str) -> None:
    """Answer with one line; a WebSocket is closed before it is open, which its client sees as 403."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"), *HEADERS]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"medseg: {reason}\n".encode()})
