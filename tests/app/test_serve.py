"""The real server, as a process of its own, over HTTP."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from medseg_monai.app.serve import HOST, free_port


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address that the command prints."""
    with subprocess.Popen(
        [sys.executable, "-m", "medseg_monai", "app", "--no-browser"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path_factory.mktemp("app"),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert re.fullmatch(rf"http://{HOST}:\d+/\?token=[\w-]{{40,}}", line), (
            process.stderr.read() if process.stderr else ""
        )
        yield line
        process.send_signal(signal.SIGINT)
        assert process.wait(300) in (0, 130)


def test_only_with_the_token_there_is_a_page(address: str) -> None:
    plain = address.partition("?")[0]
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(plain)
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    with browser.open(address) as answer:
        text = answer.read().decode()
        assert answer.url == plain  # the token is not in the address any more
    assert "medseg_monai" in text


def test_the_page_asks_for_nothing_from_elsewhere(address: str) -> None:
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    text = browser.open(address).read().decode()
    assert re.findall(r"""(?:src|href)=["'](https?:)?//[^"']*""", text) == []


def test_it_listens_on_this_machine_only(address: str) -> None:
    port = int(address.split(":")[2].partition("/")[0])
    with socket.socket() as probe:
        probe.settimeout(2)
        assert probe.connect_ex((HOST, port)) == 0
    outside = [info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)]
    for other in {str(name) for name in outside if not str(name).startswith("127.")}:
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((other, port)) != 0


def test_a_taken_port_is_said(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match=f"port {port} is taken"):
            free_port(port)
    assert free_port() > 0


@pytest.mark.parametrize("origin", ["", "http://evil.example"])
def test_a_web_socket_needs_the_token_and_the_pages_own_origin(address: str, origin: str) -> None:
    place = address.partition("?")[0]
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar := CookieJar()))
    browser.open(address)
    cookie = "; ".join(f"{one.name}={one.value}" for one in jar)
    headers = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", **({"Origin": origin, "Cookie": cookie} if origin else {}),
    }  # fmt: skip
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(
            urllib.request.Request(f"{place}_nicegui_ws/socket.io/?EIO=4&transport=websocket", headers=headers)
        )
