"""Which cases of an output folder are finished, and recording them while others are written."""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from medseg_monai.dataset.cases import main_file
from medseg_monai.dataset.spec import DatasetSpec
from medseg_monai.files.writing import HIDDEN_FOLDER, lock_folder, lock_shard, remove_parts
from medseg_monai.inference.case_list import chosen
from medseg_monai.outputs.journal import Fingerprint, Journal, Record, Settings, difference
from medseg_monai.outputs.naming import chosen_formats, file_rules, output_files
from medseg_monai.outputs.tables import RunTable, run_tables

logger = logging.getLogger(__name__)

Case = Mapping[str, Any]


def unfinished(
    cases: Sequence[Case],
    spec: DatasetSpec,
    folder: str | Path,
    *,
    overwrite: bool,
    made_with: Settings | None = None,
    shard: str = "",
    **wanted: Any,
) -> Sequence[Case]:
    """The cases that are still to be done; all of them if ``overwrite``.

    A case is finished if every file of its output exists and it is in every requested table. If the run's settings are
    given, those files must also have been made from this picture with these settings; other cases are done again, and the log
    says how many and why.

    Args:
        cases: with ``id`` and ``image``.
        spec: the data set.
        folder: the output folder.
        overwrite: do all.
        made_with: `medseg_monai.outputs.journal.made_with` of this run. The leftovers of a killed run are then removed, too.
        shard: name of the shard of the cases that this process does, if these are not all.
        wanted: arguments for `output_files`.

    Raises:
        FolderInUseError: another process is writing to the folder.
    """
    place = Path(folder)
    journal: Journal | None = None
    if made_with is not None:
        lock = lock_shard(place, shard) if shard else lock_folder(place)
        if not shard:  # else they may be another process's
            below = {str(case["id"]).rpartition("/")[0] for case in cases}
            remove_parts({place / HIDDEN_FOLDER, *(place / name for name in below)})
        journal = Journal(place, shard=shard)
        lock.release()
    if overwrite or (not journal and _is_new(place)):
        return cases
    kept = file_rules(spec).kept
    tables = run_tables(place, spec, chosen_formats(wanted.get("formats"), spec))
    listed = {name: table.entries.keys() for name, table in tables.items() if name not in kept}
    left = array("L")
    again: dict[str, list[str]] = {}
    for number, case in enumerate(cases):
        image = main_file(case.get("image", ""))
        files = output_files(case["id"], spec, place, image=image, **wanted)
        record = journal.get(case["id"]) if journal is not None else None
        entries = record.tables if record is not None else {}
        in_tables = all(name in entries or case["id"] in ids for name, ids in listed.items())
        if not in_tables or not all(map(_is_there, files)):
            left.append(number)
        elif made_with is not None and (reason := _why_again(record, image, made_with, spec)):
            left.append(number)
            again.setdefault(reason, []).append(str(case["id"]))
    for reason, ids in again.items():
        logger.warning("%d of the masks in %s are made again, first: %s: %s", len(ids), place, ids[0], reason)
    if len(left) < len(cases):
        logger.info("%d of %d cases were already finished and are skipped", len(cases) - len(left), len(cases))
    return chosen(cases, left)


def _is_new(folder: Path) -> bool:
    """Whether nothing has been written to the folder: to look for each of a million files would take a minute."""
    return not folder.is_dir() or all(entry.name == HIDDEN_FOLDER for entry in folder.iterdir())


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except OSError:  # a name that is too long: reported when it is written
        return False


def _why_again(record: Record | None, image: str, made_with: Settings, spec: DatasetSpec) -> str:
    """Why a case whose files all exist is not finished; "" if it is."""
    if record is None:
        return "it is unknown from which pictures, weights and settings they were made"
    if reason := difference(record.settings, made_with):
        return reason
    if record.picture is None or not record.picture.is_of(image, spec):
        return "they were made from another picture of that name, or it has changed since"
    return ""


class FinishedCases:
    """The tables of an output folder, and the records of its cases' settings, while a run adds to them.

    Args:
        folder: the output folder; locked until `save`, if `made_with` is given.
        spec: the data set.
        formats: formats of masks.
        made_with: the run's settings; None to record no origin.
        shard: name of the shard of the cases that this process does, if these are not all: the tables are then written by whoever
            joins the shards (`medseg_monai.outputs.joining`). Who does all takes in what shards left.
        wait: seconds to wait for another process.

    Attributes:
        tables: by name; each case's entry is put into them before `add`, which moves it to the journal.

    Raises:
        FolderInUseError: another process is writing to the folder.
        ValueError: a table in the folder was not written by this program.
    """

    def __init__(
        self,
        folder: Path,
        spec: DatasetSpec,
        formats: Sequence[str],
        *,
        made_with: Settings | None = None,
        shard: str = "",
        wait: float = 0.0,
    ) -> None:
        self.folder = folder
        self.shard = shard
        self.spec = spec
        self.made_with = made_with
        self.written = {*file_rules(spec).kept, *formats}
        self._lock = self._journal = None
        if made_with is not None:
            self._lock = lock_shard(folder, shard) if shard else lock_folder(folder, wait=wait)
            self._journal = Journal(folder, shard=shard)
        place = folder / HIDDEN_FOLDER / shard if shard else folder  # of a shard they are only for the cases at hand
        self.tables: dict[str, RunTable] = run_tables(place, spec, formats, all_there=made_with is not None)
        if self._journal is not None and not shard:
            self._take_in(self._journal)

    def _take_in(self, journal: Journal) -> None:
        """Take in what the shards of an earlier run did; of these cases the tables have only what was done."""
        for case_id in journal.take_in():
            for table in self.tables.values():
                table.entries.pop(case_id, None)

    def __contains__(self, case_id: object) -> bool:
        return self._journal is not None and case_id in self._journal

    def add(self, case_id: str, image: str, files: Sequence[Path]) -> None:
        """Record that a case is finished, once its files are complete and its entries are in the tables.

        Files and entries that only an earlier run, with another picture or other settings, made are removed.

        Raises:
            OSError: it cannot be recorded.
        """
        if self._journal is None or self.made_with is None:
            return
        try:
            picture: Fingerprint | None = Fingerprint.of(image, self.spec)
        except OSError:  # deleted or moved meanwhile: its mask is correct, and if it comes back it is done again
            picture = None
        names = [file.relative_to(self.folder).as_posix() for file in files]
        before = self._journal.get(case_id)
        entries = {} if before is None else dict(before.tables)
        if before is not None and self._is_current(before, picture):
            names = list(dict.fromkeys([*names, *before.files]))
        else:
            entries = {}
            self._forget(case_id, () if before is None else set(before.files) - set(names))
        for name, table in self.tables.items():
            if case_id in table.entries:
                entries[name] = table.entries.pop(case_id)
        self._journal.add(case_id, Record(self.made_with, picture, tuple(names), entries))

    def _is_current(self, record: Record, picture: Fingerprint | None) -> bool:
        same_picture = record.picture is not None and picture is not None and record.picture.sha256 == picture.sha256
        return same_picture and record.settings == self.made_with

    def _forget(self, case_id: str, names: Iterable[str]) -> None:
        for name, table in self.tables.items():
            if name not in self.written:
                table.entries.pop(case_id, None)
        for name in names:
            file = self.folder / name
            if file.resolve().is_relative_to(self.folder.resolve()):  # even if somebody else wrote the journal
                with suppress(OSError):
                    file.unlink()

    def update(self, case_id: str, change: Mapping[str, Any]) -> None:
        """Replace a case's entries in the tables; the journal's first, so that the next run repairs a kill in between."""
        before = None if self._journal is None else self._journal.get(case_id)
        if before is None or self._journal is None:
            for name, entry in change.items():
                self.tables[name].entries[case_id] = entry
        else:
            tables = {**before.tables, **change}
            self._journal.add(case_id, Record(before.settings, before.picture, before.files, tables))

    def entry(self, case_id: str, name: str) -> Any:
        """A case's entry in a table, or None."""
        before = None if self._journal is None else self._journal.get(case_id)
        tables = {} if before is None else before.tables
        return self.tables[name].entries.get(case_id, tables.get(name))

    def save(self) -> None:
        """Write the tables, if these are all cases, and release the folder."""
        if self.shard:
            self.close()
            return
        try:
            for case_id, record in self._journal.items() if self._journal is not None else ():
                for name, entry in record.tables.items():
                    if name in self.tables:
                        self.tables[name].entries[case_id] = entry
            for table in self.tables.values():
                table.save()
        finally:
            self.close()

    def close(self) -> None:
        """Release the folder; the tables are not written."""
        if self._journal is not None:
            self._journal.close()
        if self._lock is not None:
            self._lock.release()
            self._lock = None
