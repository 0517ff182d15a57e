"""What several processes wrote into one folder, put together by the last of them: tables, failures."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medseg_monai.files.writing import FolderInUseError
from medseg_monai.inference.cases import (
    CaseStream,
    Failure,
    failures_file,
    read_failures,
    write_failures,
)
from medseg_monai.outputs.finished import FinishedCases
from medseg_monai.outputs.journal import Journal
from medseg_monai.outputs.order import PredictedCase
from medseg_monai.outputs.predictions import WritePredictions
from medseg_monai.outputs.tables import predicted_case

logger = logging.getLogger(__name__)

SECONDS_TO_WAIT = 600.0
"""For another process that is putting together what there was before this one finished."""


def join_shards(writer: WritePredictions, stream: CaseStream, cases: Sequence[Mapping[str, Any]]) -> None:
    """Write the list of failures; of a shard also the tables, unless other processes are still at work.

    Whoever finishes last writes them; ``writer.is_complete`` then says whether all cases are done.

    Args:
        writer: has written this process's cases.
        stream: these cases, with those that could not be used.
        cases: all cases of the run.
    """
    stream.write_failures(writer.folder)
    if writer.shard.is_whole:
        return
    try:
        finished = FinishedCases(
            writer.folder,
            writer.spec,
            writer.wanted.formats,
            made_with=writer.finished.made_with,
            wait=SECONDS_TO_WAIT,
        )
    except FolderInUseError:
        logger.info("%s is done; the last process to finish writes the tables", writer.shard)
        return
    finished.save()
    failures = _joined_failures(writer.folder, (case for case in cases if case["id"] not in finished))
    left = sum(case["id"] not in finished for case in cases) - len(failures)
    writer.is_complete = left == 0
    if left:
        logger.info("%s is done; %d of %d images are left for others", writer.shard, left, len(cases))


def recorded_cases(folder: Path, shard: str) -> list[PredictedCase]:
    """The finished cases of an output folder whose tables wait for other processes."""
    records = Journal(folder, shard=shard).items()
    return [predicted_case(case_id, record.tables["predictions"]) for case_id, record in records]


def _joined_failures(folder: Path, unfinished: Iterable[Mapping[str, Any]]) -> list[Failure]:
    """Write one list of all failures of cases that are still unfinished, and remove those of the shards."""
    shards = sorted(failures_file(folder, "*").parent.glob(failures_file(folder, "*").name))
    known = {failure.path: failure for file in (failures_file(folder), *shards) for failure in read_failures(file)}
    failures = [known[image] for case in unfinished if (image := str(case["image"])) in known]
    write_failures(failures_file(folder), failures)
    for file in shards:
        file.unlink(missing_ok=True)
    return failures
