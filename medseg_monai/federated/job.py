"""A job for NVFlare: a folder that says what the server and each site run. It contains settings, no code and no data."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from medseg_monai.federated.agreement import Agreement
from medseg_monai.files.writing import write_whole

SITE_FILE = "site.json"
NETWORK, ROUNDS_FILE = "network", "rounds.csv"
"""In the job's run folder on the server: the folder of the federated network, and the table in it."""
SERVER = "server"
TRAIN, SCORE = "train", "score"
"""Tasks that the server gives to sites."""
ALLOWED = "medseg_monai.federated.flare."
"""What each site has to put into the ``class_allow_list`` of its NVFlare: the only classes that a job names."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


def write_job(
    folder: Path,
    agreement: Agreement,
    sites: Mapping[str, str],
    *,
    name: str = "medseg",
    round_minutes: float = 0.0,
) -> Path:
    """Write the job's folder.

    Args:
        folder: created.
        agreement: what all sites have in common.
        sites: name of each site, as NVFlare knows it, and the folder of its data set, on its own machine.
        name: of the job.
        round_minutes: how long a round waits for a site; 0: as long as it takes.

    Returns:
        The folder.

    Raises:
        ValueError: a name cannot be used.
        OSError: it cannot be written.
    """
    check_names(sites)
    if not round_minutes >= 0:
        raise ValueError(f"round_minutes: expected a number of 0 or more, got {round_minutes!r}")
    _write_app(folder, SERVER, "config_fed_server.json", _server_config(round_minutes), agreement)
    for site, dataset_dir in sites.items():
        config = _write_app(folder, site, "config_fed_client.json", _SITE_CONFIG, agreement)
        _write(config / SITE_FILE, {"dataset_dir": dataset_dir})
    deployed = {_app(site): [site] for site in (SERVER, *sites)}
    _write(folder / "meta.json", {"name": name, "resource_spec": {}, "min_clients": 1, "deploy_map": deployed})
    return folder


def check_names(sites: Mapping[str, object]) -> None:
    """Refuse names that NVFlare, or a file system, would not take.

    Raises:
        ValueError: there is no site, or such a name.
    """
    if not sites:
        raise ValueError("no site is named: give at least one, NAME=DATA_SET_FOLDER")
    for name in sites:
        if not _NAME.fullmatch(name) or name.lower() == SERVER:
            raise ValueError(
                f"{name!r} cannot be the name of a site: use letters, digits, '-' and '_', and not {SERVER}"
            )
    if len({name.lower() for name in sites}) < len(sites):
        raise ValueError(f"two of the sites {', '.join(sites)} differ only in upper and lower case: rename one")


def parse_sites(texts: list[str]) -> dict[str, str]:
    """``north=data/north`` as {name: folder}.

    Raises:
        ValueError: a text is not of that form, a site is named twice, or a name cannot be used.
    """
    sites: dict[str, str] = {}
    for text in texts:
        name, given, folder = text.partition("=")
        if not given or not folder:
            raise ValueError(f"a site is NAME=DATA_SET_FOLDER, such as north=data/north, not {text!r}")
        if name in sites:
            raise ValueError(f"the site {name} is named twice")
        sites[name] = folder
    check_names(sites)
    return sites


def _server_config(round_minutes: float) -> dict[str, Any]:
    path = f"{ALLOWED}server.FederatedAverage"
    controller = {"id": "average", "path": path, "args": {"round_seconds": int(round_minutes * 60)}}
    return {"format_version": 2, "workflows": [controller], **_NOTHING_ELSE}


_NOTHING_ELSE: dict[str, Any] = {"components": [], "task_data_filters": [], "task_result_filters": []}
_SITE_CONFIG = {
    "format_version": 2,
    "executors": [{"tasks": [TRAIN, SCORE], "executor": {"path": f"{ALLOWED}site.TrainAtSite", "args": {}}}],
    **_NOTHING_ELSE,
}


def _app(site: str) -> str:
    return f"app_{site}"


def _write_app(folder: Path, site: str, file: str, content: Mapping[str, Any], agreement: Agreement) -> Path:
    """One party's part of the job; returns the folder of its configs.

    What is agreed is in a file of its own: NVFlare would take braces and certain keys in its configs for its own syntax.
    """
    config = folder / _app(site) / "config"
    _write(config / file, content)
    agreement.write(config)
    return config


def _write(file: Path, content: Mapping[str, Any]) -> None:
    write_whole(file, json.dumps(content, indent=2) + "\n")
