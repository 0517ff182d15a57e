"""A real MONAI Label server for tests, as `medseg label serve` starts it, and what clients ask of it."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REPOSITORY
from PIL import Image

requests = pytest.importorskip("requests")

START_SECONDS, TASK_SECONDS = 600, 900


@dataclass
class Server:
    """A server that runs, and where its files are."""

    url: str
    studies: Path
    log: Path

    @property
    def models(self) -> Path:
        return self.studies / "monailabel_app" / "model"

    def get(self, path: str) -> Any:
        return requests.get(self.url + path, timeout=60)

    def post(self, path: str, **given: Any) -> Any:
        return requests.post(self.url + path, timeout=TASK_SECONDS, **given)

    def put(self, path: str, **given: Any) -> Any:
        return requests.put(self.url + path, timeout=60, **given)

    def infer(self, model: str, image: str, **params: Any) -> bytes:
        answer = self.post(f"/infer/{model}?image={image}&output=image", data={"params": json.dumps(params)})
        assert answer.status_code == 200, answer.text
        return answer.content

    def unsure(self, image: str) -> float:
        """A number that no two trainings share, while coarse masks of a small network may be alike."""
        return float(self.post(f"/infer/unetpp?image={image}&output=json").json()["uncertainty"])

    def finished(self, task: str) -> dict[str, Any]:
        """Wait for a background task; its last state."""
        end = time.monotonic() + TASK_SECONDS
        while time.monotonic() < end:
            state = self.get(task).json()
            if state["status"] not in ("SUBMITTED", "RUNNING"):
                return state
            time.sleep(1)
        raise TimeoutError(task)


@contextmanager
def label_server(
    studies: Path,
    bundles: str,
    log: Path,
    *options: str,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> Iterator[Server]:
    """`medseg label serve` on a free port, until the block ends."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "medseg_monai", "label", "serve", "--studies", str(studies), "--bundles", bundles]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port), *options],
            cwd=folder or REPOSITORY,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
        )
        try:
            running = Server(f"http://127.0.0.1:{port}", studies, log)
            wait_until_up(running, process)
            yield running
        finally:
            process.terminate()
            process.wait(60)


def wait_until_up(running: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, running.log.read_text()[-3000:]
        try:
            if running.get("/info/").status_code == 200:
                return
        except requests.ConnectionError:
            time.sleep(1)
    raise TimeoutError(running.log.read_text()[-3000:])


def png(numbers: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(numbers.astype(np.uint8)).save(content, "PNG")
    return content.getvalue()
