"""A federated training on one machine: NVFlare's simulator runs the server, and each site in a process of its own."""

from __future__ import annotations

import importlib.util
import json
import logging
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from medseg_monai.dataset import read_dataset
from medseg_monai.federated.agreement import Agreement
from medseg_monai.federated.job import ALLOWED, NETWORK, ROUNDS_FILE, SERVER, write_job
from medseg_monai.files.csv_tables import read_records
from medseg_monai.files.writing import HIDDEN_FOLDER, lock_folder, write_whole
from medseg_monai.training.folder import SPEC_FILE, WEIGHTS_FILE

logger = logging.getLogger(__name__)

_JOB, _WORKSPACE, _LOG = "job", "simulation", "simulation.log"
"""In the hidden folder: the job, what NVFlare writes, and all that was said."""
_RUN = "simulate_job"
"""NVFlare's name for the folder of a simulated job."""
_OURS = re.compile(r" - (INFO|WARNING) - (Round (?:\d+|end)\b.*)")
_ERROR = re.compile(r" - ERROR - (.*)")
SECONDS_TO_END = 30.0

Rounds = list[dict[str, str]]


def simulate(folder: Path, agreement: Agreement, sites: Mapping[str, Path]) -> Rounds:
    """Train as these sites would together.

    Args:
        folder: for the network (``model.pt``, ``spec.json``) and ``rounds.csv``.
        agreement: what all sites have in common.
        sites: name and data set of each.

    Returns:
        The rows of ``rounds.csv``.

    Raises:
        ImportError: NVFlare is not installed.
        FileNotFoundError, ValueError: a site's data set cannot be used, or is not as agreed; no site could train.
        FolderInUseError: another process is writing to the folder.
    """
    if importlib.util.find_spec("nvflare") is None:
        raise ImportError("federated training needs NVFlare: pip install 'medseg-monai[federated]'")
    for name, data in sites.items():
        try:
            agreement.check(read_dataset(data).spec)
        except ValueError as error:
            raise ValueError(f"{name} cannot take part: {error}") from None
    folder = folder.absolute()
    lock = lock_folder(folder)
    try:
        return _run(folder, agreement, {name: str(data.absolute()) for name, data in sites.items()})
    finally:
        lock.release()


def _run(folder: Path, agreement: Agreement, sites: Mapping[str, str]) -> Rounds:
    hidden = folder / HIDDEN_FOLDER
    for old in (hidden / _JOB, hidden / _WORKSPACE):
        shutil.rmtree(old, ignore_errors=True)
    job = write_job(hidden / _JOB, agreement, sites)
    # NVFlare builds only what a site allows; here too that is nothing but these classes
    write_whole(hidden / _WORKSPACE / "local" / "resources.json", json.dumps({"class_allow_list": [ALLOWED]}))
    network = hidden / _WORKSPACE / SERVER / _RUN / NETWORK
    try:
        code, last_error = _simulator(job, hidden / _WORKSPACE, list(sites), hidden / _LOG)
    finally:  # what was finished is kept, however it ended
        _keep(network, folder)
    rounds = read_records(network / ROUNDS_FILE) if (network / ROUNDS_FILE).is_file() else []
    if code or not rounds:
        reasons = dict.fromkeys(f"{row['site']}: {row['left_out']}" for row in rounds if row["left_out"])
        raise ValueError(f"{'; '.join(reasons) or last_error or 'NVFlare ended early'}; all is in {hidden / _LOG}")
    return rounds


def _keep(network: Path, folder: Path) -> None:
    """Copy the network of the last finished round to where it is looked for; its description first, which knows its checksum."""
    for name in (ROUNDS_FILE, SPEC_FILE, WEIGHTS_FILE):
        if (network / name).is_file():
            write_whole(folder / name, (network / name).read_bytes())


def _simulator(job: Path, workspace: Path, sites: list[str], log: Path) -> tuple[int, str]:
    """Run NVFlare's simulator to its end, and say what the server says of each round; returns its exit code and the last error."""
    program = ("-m", f"{ALLOWED}simulator")
    command = [sys.executable, *program, str(job), str(workspace), ",".join(sites)]
    last_error = ""
    with log.open("wb") as kept, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                kept.write(line)
                text = line.decode(errors="replace").strip()
                if found := _OURS.search(text):
                    logger.log(getattr(logging, found[1]), "%s", found[2])
                elif found := _ERROR.search(text):
                    last_error = found[1]
        except BaseException:
            _end(process)
            raise
    return process.returncode, last_error


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the simulator with its sites."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(SECONDS_TO_END)
    except subprocess.TimeoutExpired:
        process.kill()
