"""Who may talk to the page's server."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from medseg_monai.app.guard import Guard, TooLargeError

PORT, TOKEN, MOST = 8123, "right-token", 1_000_000


async def read(request: Request) -> Response:
    try:
        return PlainTextResponse(str(len(await request.body())))
    except TooLargeError:
        return PlainTextResponse("too large", 422)


async def talk(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("hello")
    await socket.close()


@pytest.fixture
def client() -> TestClient:
    inner = Starlette(routes=[Route("/", read, methods=["GET", "POST"]), WebSocketRoute("/ws", talk)])
    guard = Guard(inner, token=TOKEN, port=PORT, most_bytes=MOST)
    return TestClient(guard, base_url=f"http://127.0.0.1:{PORT}", follow_redirects=False)


@pytest.fixture
def entered(client: TestClient) -> TestClient:
    client.get(f"/?token={TOKEN}")
    return client


def test_the_token_opens_the_page_and_leaves_the_address(client: TestClient) -> None:
    assert client.get("/").status_code == 403
    answer = client.get(f"/?token={TOKEN}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert client.get("/").text == "0"


@pytest.mark.parametrize(
    "address", ["/?token=wrong", "/?token=", "/?token=%00", "/?token=right-token2", "/?toke=right-token"]
)
def test_another_token_does_not(client: TestClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "medseg app" in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", f"127.0.0.1:{PORT + 1}", f"evil.example:{PORT}", ""])
def test_a_name_that_somebody_points_here_is_refused(entered: TestClient, host: str) -> None:
    assert entered.get("/", headers={"host": host}).status_code == 403


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", f"http://localhost:{PORT}"]
)
def test_a_page_from_elsewhere_is_refused(entered: TestClient, origin: str) -> None:
    assert entered.post("/", headers={"origin": origin}).status_code == 403
    assert entered.post("/", headers={"origin": f"http://127.0.0.1:{PORT}"}).status_code == 200


def test_web_sockets_need_the_token_too(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect) as refused, client.websocket_connect("/ws"):
        pass
    assert refused.value.code == 1008  # a policy is violated (RFC 6455)
    with pytest.raises(WebSocketDisconnect), client.websocket_connect(f"/ws?token={TOKEN}"):
        pass
    client.get(f"/?token={TOKEN}")
    address = f"ws://127.0.0.1:{PORT}/ws"
    with client.websocket_connect(address) as socket:
        assert socket.receive_text() == "hello"
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect(address, headers={"origin": "http://evil.example"}),
    ):
        pass


def test_a_body_has_a_bound_stated_or_not(entered: TestClient) -> None:
    assert entered.post("/", content=b"x" * MOST).text == str(MOST)
    refused = entered.post("/", content=b"x" * (MOST + 1))
    assert (refused.status_code, refused.text) == (413, "medseg: larger than 1 MB\n")
    assert entered.post("/", headers={b"content-length": b"\xb2"}).status_code == 200  # a digit, but no number
    pieces = (b"x" * 600_000 for _ in range(2))
    assert entered.post("/", content=pieces).text == "too large"


def test_each_answer_forbids_frames_and_guessing(entered: TestClient) -> None:
    headers = entered.get("/").headers
    assert headers["content-security-policy"] == "frame-ancestors 'self'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
