"""The folder of images and labels: nothing is written outside it, nothing in it is replaced unless requested, and files appear whole."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from filelock import FileLock
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

from medseg_monai.files.writing import replacing, write_whole
from medseg_monai.images.photos import SUFFIXES
from medseg_monai.images.volumes import VOLUME_SUFFIXES
from medseg_monai.label.names import check_name, shortened, split_file_name
from medseg_monai.label.server.gate import CONFLICT

KNOWN_SUFFIXES = (*SUFFIXES, *VOLUME_SUFFIXES)


class Studies(LocalDatastore):  # type: ignore[misc]  # MONAI Label has no types
    """MONAI Label's folder of studies, safe against names that lead elsewhere and against two requests at a time.

    Raises:
        HTTPException: 409 for an image whose name is taken.
        ValueError: an invalid name (`medseg_monai.label.names`).
        ImageNotFoundException, LabelNotFoundException: the image or label does not exist.
    """

    def __init__(self, folder: str, *, extensions: Sequence[str], auto_reload: bool, read_only: bool) -> None:
        # requests and MONAI Label's watcher of the folder run in different threads
        self._guard = threading.RLock()
        super().__init__(folder, extensions=extensions, auto_reload=auto_reload, read_only=read_only)
        if auto_reload:
            self._handler.on_moved = (
                self._on_any_event
            )  # files that are written whole arrive by renaming, also from a batch's process

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """Store an uploaded image under a name that is free; return the name."""
        stem, suffix = self._to_id(Path(image_filename).name)
        name = check_name(image_id or stem, "image")
        folder = Path(self._datastore.image_path())
        with self._changed():
            if name in self._datastore.objects or any(os.path.lexists(folder / f"{name}{s}") for s in KNOWN_SUFFIXES):
                raise HTTPException(CONFLICT, f"image '{shortened(name)}' already exists: choose another name")
            _copy_whole(Path(image_filename), folder / f"{name}{suffix}")
            info = {**image_info, "ts": int(time.time()), "name": f"{name}{suffix}"}
            added = ImageLabelModel(image=DataModel(info=info, ext=suffix))
            self._datastore.objects = {**self._datastore.objects, name: added}
        return name

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """Store an uploaded label, replacing an earlier one with the same tag; return the image's name."""
        tag = check_name(label_tag, "tag")
        _, suffix = self._to_id(Path(label_filename).name)
        with self._changed():
            labelled = self._known(image_id)
            folder = Path(self._datastore.label_path(tag))
            _check_inside(folder, Path(self._datastore.label_path(None)))
            folder.mkdir(exist_ok=True)
            _copy_whole(Path(label_filename), folder / f"{image_id}{suffix}")
            info = {**label_info, "ts": int(time.time()), "name": f"{image_id}{suffix}"}
            labelled.labels = {**labelled.labels, tag: DataModel(info=info, ext=suffix)}
        return image_id

    def remove_image(self, image_id: str) -> None:
        """Remove an image and its labels; if it is a link, the link and not its target."""
        with self._guard:
            image = self._known(image_id)
            for tag in list(image.labels):
                self.remove_label(image_id, tag)
            (Path(self._datastore.image_path()) / f"{image_id}{image.image.ext}").unlink(missing_ok=True)
            self.refresh()

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Remove a label, likewise."""
        with self._guard:
            label = self._known_label(label_id, label_tag)
            (Path(self._datastore.label_path(label_tag)) / f"{label_id}{label.ext}").unlink(missing_ok=True)
            self.refresh()

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Store further information with an image."""
        with self._changed():
            image = self._known(image_id).image
            image.info = {**image.info, **info}

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Store further information with a label."""
        with self._changed():
            label = self._known_label(label_id, label_tag)
            label.info = {**label.info, **info}

    def refresh(self) -> None:
        """Scan the folder again."""
        with self._guard:
            super().refresh()

    @contextmanager
    def _changed(self) -> Iterator[None]:
        """The current list of images and labels, including changes by other processes, to be changed and then written."""
        with self._guard:
            self._init_from_datastore_file()
            yield
            self._update_datastore_file()

    # the lock keeps readers from seeing a list that the watcher has only half changed
    def list_images(self) -> list[str]:
        """Names of all images."""
        with self._guard:
            return list(super().list_images())

    def get_labeled_images(self, label_tag: str | None = None, labels: Sequence[str] | None = None) -> list[str]:
        """Names of images that are finished."""
        with self._guard:
            return list(super().get_labeled_images(label_tag, labels))

    def get_unlabeled_images(self, label_tag: str | None = None, labels: Sequence[str] | None = None) -> list[str]:
        """Names of all others."""
        with self._guard:
            return list(super().get_unlabeled_images(label_tag, labels))

    def get_image_uri(self, image_id: str) -> str:
        """An image's file, "" if the image does not exist."""
        with self._guard:
            return str(super().get_image_uri(image_id))

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """A label's file, likewise."""
        with self._guard:
            return str(super().get_label_uri(label_id, label_tag))

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """Files of finished images with their labels."""
        with self._guard:
            return list(super().datalist(full_path))

    def status(self) -> dict[str, Any]:
        """Numbers of images and labels."""
        with self._guard:
            return dict(super().status())

    def json(self) -> dict[str, Any]:
        """All information stored with images and labels."""
        with self._guard:
            return dict(super().json())

    def check_image(self, image_id: str) -> None:
        """Refuse the name of an image that does not exist."""
        self._known(image_id)

    def check_label(self, image_id: str, tag: str) -> None:
        """Refuse a label that does not exist."""
        self._known_label(image_id, tag)

    def _known(self, image_id: str) -> Any:
        if image := self._datastore.objects.get(image_id):
            return image
        raise ImageNotFoundException(f"no image '{shortened(image_id)}' among the studies")

    def _known_label(self, image_id: str, tag: str) -> Any:
        if label := self._known(image_id).labels.get(tag):
            return label
        raise LabelNotFoundException(f"no label '{shortened(tag)}' of image '{shortened(image_id)}'")

    def _to_id(self, file: str) -> tuple[str, str]:
        """Name and suffix; MONAI Label removes the suffix wherever it occurs and turns ``a.png.png`` into ``a``."""
        return split_file_name(file, KNOWN_SUFFIXES)

    def _list_files(self, path: str, patterns: Any) -> dict[str, str]:
        """Files by name, without hidden ones: macOS leaves ``._x.png`` beside ``x.png``, and a file being written is hidden too."""
        found: dict[str, str] = super()._list_files(path, patterns)
        return {name: file for name, file in found.items() if not name.startswith(".")}

    def _remove_non_existing(self) -> int:
        """Forget images and labels whose files are gone, in one step: readers see either the old or the new list."""
        self._init_from_datastore_file()
        images, kept, gone = Path(self._datastore.image_path()), {}, 0
        for name, image in self._datastore.objects.items():
            if not (images / f"{name}{image.image.ext}").exists():
                gone += 1
                continue
            labels = {
                tag: label
                for tag, label in image.labels.items()
                if (Path(self._datastore.label_path(tag)) / f"{name}{label.ext}").exists()
            }
            gone += len(image.labels) - len(labels)
            kept[name] = ImageLabelModel(image=image.image, labels=labels)
        if gone:
            self._datastore.objects = kept
        return gone

    def _update_datastore_file(self, lock: bool = True) -> None:
        """Write the list of images and labels whole: without it the server cannot restart."""
        content = json.dumps(self._datastore.model_dump(exclude={"base_path"}), indent=2, default=str)
        with self._guard, FileLock(self._lock_file):
            self._ignore_event_config = True
            write_whole(Path(self._datastore_config_path), content, sync=False)
            self._config_ts = Path(self._datastore_config_path).stat().st_mtime


def _check_inside(folder: Path, parent: Path) -> None:
    if not folder.resolve().is_relative_to(parent.resolve()):
        raise ValueError(f"tag '{shortened(folder.name)}': its folder is a link to outside the labels")


def _copy_whole(source: Path, file: Path) -> None:
    """Copy a file so that no reader sees half of it; a link of that name is replaced, not followed."""
    with replacing(file) as part:
        shutil.copyfile(source, part)
