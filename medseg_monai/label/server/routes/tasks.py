"""Background tasks: training, batches, scoring; and the next image to label."""

from __future__ import annotations

from typing import Any, Literal

import torch
from fastapi import HTTPException
from monailabel.endpoints import activelearning
from monailabel.endpoints.user.auth import User
from monailabel.interfaces.utils.app import app_instance
from monailabel.utils.async_tasks.task import AsyncTask

from medseg_monai.label.server.gate import ADMIN, ANNOTATOR, BODY, NOT_FOUND, USER, checked
from medseg_monai.label.server.requests import BatchParams, NextParams, ScoringParams, TrainParams

BUSY = 429


def status(task: str, all_tasks: bool, check_if_running: bool) -> Any:
    """The last task of a kind, or all."""
    found, reason = AsyncTask.status(task, all_tasks, check_if_running)
    if found is None:
        raise HTTPException(NOT_FOUND, reason)
    return found


def start(task: str, request: dict[str, Any], *, run_sync: bool, enqueue: bool = False) -> Any:
    """Start a task; return its first state, or its result if the request waits for it."""
    begun, reason = AsyncTask.run(task, request=request, params={}, force_sync=run_sync, enqueue=enqueue)
    if begun is None and not run_sync:
        raise HTTPException(BUSY, reason)
    return begun


def stop(task: str) -> Any:
    """End a task."""
    stopped = AsyncTask.stop(task)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return stopped


def training_request(model: str, body: dict[str, Any]) -> dict[str, Any]:
    """A training of a model, checked."""
    offered = app_instance().trainer(model).config()
    return {**checked(TrainParams, body, "body", offered=offered).said("name"), "model": model}


def train(model: str, body: dict[str, Any] = BODY, run_sync: bool = False, enqueue: bool = False) -> Any:
    """Train a model on all finished labels."""
    return start("train", training_request(model, body), run_sync=run_sync, enqueue=enqueue)


def train_all(body: dict[str, Any] = BODY, run_sync: bool = False) -> Any:
    """Train every model; OHIF sends the settings of each under its name."""
    models = list(app_instance().info()["trainers"])
    common = {key: value for key, value in body.items() if key not in models}
    own = {model: body.get(model) or {} for model in models}
    if wrong := [model for model, value in own.items() if not isinstance(value, dict)]:
        raise ValueError(f"body: the settings of '{wrong[0]}' must be an object")
    requests = {model: training_request(model, {**common, **own[model]}) for model in models}
    return {
        model: {"result": start("train", request, run_sync=run_sync, enqueue=True), "detail": None}
        for model, request in requests.items()
    }


def train_status(all: bool = False, check_if_running: bool = False) -> Any:
    """State of the training."""
    return status("train", all, check_if_running)


def train_stop() -> Any:
    """Stop the training; the weights in use stay."""
    return stop("train")


def batch(
    model: str,
    images: Literal["all", "labeled", "unlabeled"] = "all",
    body: dict[str, Any] = BODY,
    run_sync: bool = False,
) -> Any:
    """Segment many images."""
    offered = app_instance().model(model).config()
    said = checked(BatchParams, {"images": images, **body}, "body", offered=offered).said("run_id")
    return start("batch_infer", {**said, "model": model}, run_sync=run_sync)


def batch_status(all: bool = False, check_if_running: bool = False) -> Any:
    """State of the batch."""
    return status("batch_infer", all, check_if_running)


def batch_stop() -> Any:
    """Stop the batch."""
    return stop("batch_infer")


def score(method: str, body: dict[str, Any] = BODY, run_sync: bool = False) -> Any:
    """Score all images with a method."""
    app_instance().check_scoring(method)
    return start("scoring", {**checked(ScoringParams, body, "body").said(), "method": method}, run_sync=run_sync)


def score_all(body: dict[str, Any] = BODY, run_sync: bool = False) -> Any:
    """Score all images with every method."""
    said = checked(ScoringParams, body, "body").said()
    return {
        method: {"result": AsyncTask.run("scoring", {**said, "method": method}, {}, run_sync, True)[0], "detail": None}
        for method in app_instance().info()["scoring"]
    }


def score_status(all: bool = False, check_if_running: bool = False) -> Any:
    """State of the scoring."""
    return status("scoring", all, check_if_running)


def score_stop() -> Any:
    """Stop the scoring."""
    return stop("scoring")


def next_image(strategy: str, body: dict[str, Any] = BODY, user: User = USER) -> Any:
    """The image to label next; {} if all are labelled."""
    app_instance().check_strategy(strategy)
    given = checked(NextParams, body, "body")
    said = given.said()
    if given.client_id:
        said["client_id"] = given.client_id
    return activelearning.sample(strategy, said, user.username)


ROUTES = (
    ("GET", "/train/", train_status, USER),
    ("POST", "/train/", train_all, ADMIN),
    ("POST", "/train/{model}", train, ADMIN),
    ("DELETE", "/train/", train_stop, ADMIN),
    ("GET", "/batch/infer", batch_status, USER),
    ("POST", "/batch/infer/{model}", batch, ADMIN),
    ("DELETE", "/batch/infer", batch_stop, ADMIN),
    ("GET", "/scoring/", score_status, USER),
    ("POST", "/scoring/", score_all, ANNOTATOR),
    ("POST", "/scoring/{method}", score, ANNOTATOR),
    ("DELETE", "/scoring/", score_stop, ANNOTATOR),
    ("POST", "/activelearning/{strategy}", next_image, USER),
)
