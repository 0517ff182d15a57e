"""The server of the page, on this machine only, and the browser."""

from __future__ import annotations

import secrets
import socket
import warnings
import webbrowser
from collections.abc import Callable

import uvicorn
from fastapi import FastAPI
from nicegui import ui

from medseg_monai.app.files import routes
from medseg_monai.app.guard import Guard
from medseg_monai.app.page.page import Page
from medseg_monai.app.received import MOST_FILE_BYTES
from medseg_monai.app.tab import Tab
from medseg_monai.app.trainings import Trainings

HOST = "127.0.0.1"


def free_port(wanted: int = 0) -> int:
    """A port that nothing listens on.

    Raises:
        OSError: the wanted one is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, wanted))
        except OSError as error:
            raise OSError(f"port {wanted} is taken: leave --port out, or name another one") from error
        return int(probe.getsockname()[1])


def serve(port: int, *, browse: bool, say: Callable[[str], None]) -> None:
    """Serve the page until Ctrl-C.

    Args:
        port: to listen on.
        browse: open the browser.
        say: called with the address, once the server answers.
    """
    tabs: dict[str, Tab] = {}
    trainings = Trainings()
    token = secrets.token_urlsafe(32)

    def started() -> None:
        address = f"http://{HOST}:{port}/?token={token}"
        say(address)
        if browse:
            webbrowser.open(address)

    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    server.include_router(routes(tabs))

    @ui.page("/", title="medseg_monai")
    def page() -> None:
        Page(tabs, trainings)

    ui.run_with(server, language="en-US", show_welcome_message=False, cache_control_directives="private, max-age=3600")
    guarded = Guard(server, token=token, port=port, most_bytes=MOST_FILE_BYTES)
    # NiceGUI looks through all objects of the process for its server, and touches old names of torch's
    warnings.filterwarnings("ignore", category=FutureWarning, message=r"`torch\.distributed")
    config = uvicorn.Config(guarded, host=HOST, port=port, log_level="warning", server_header=False)
    try:
        _Server(config, started).run()
    finally:
        for tab in list(tabs.values()):
            tab.close()
        trainings.close()


class _Server(uvicorn.Server):
    """Says when it answers."""

    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._say_started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then say so."""
        await super().startup(sockets)
        if self.started:
            self._say_started()
