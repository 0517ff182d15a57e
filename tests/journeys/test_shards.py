"""One prediction by several processes at once: equal to that of one, although one of them is killed."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from launchers import ended, halt, meeting, rank, start, switch_off, wait_for
from PIL import Image


@pytest.fixture
def photographs(demo_data: Path, tmp_path: Path) -> Path:
    """Eighty, and a file that is none."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(4):
        for file in sorted((demo_data / "images").iterdir()):
            (folder / f"{number}_{file.name}").symlink_to(file)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.suffix in (".png", ".csv", ".json")}


def names(journal: Path) -> list[str]:
    """The cases that a shard's journal says are done; its last line may be torn."""
    if not journal.is_file():
        return []
    lines = journal.read_bytes().split(b"\n")[:-1]
    return [content["case"] for content in map(json.loads, lines) if "case" in content]


@pytest.mark.slow
def test_shards_side_by_side_one_of_which_is_killed(photographs: Path, trained: Path, tmp_path: Path) -> None:
    command = ("-m", "medseg_monai", "predict", "unetpp", photographs, "-w", trained, "--format", "png,rle,coco")
    code, _, err = ended(start(*command, "--out", tmp_path / "alone"))
    assert (code, "1 of 81 images" in err) == (1, True), err
    out = tmp_path / "out"
    shards = [start(*command, "--out", out, "--shard", f"{number}/3") for number in (1, 2, 3)]
    journal = out / ".medseg" / "predictions-2-of-3.jsonl"
    while not (journal.is_file() and journal.stat().st_size > 1000) and shards[1].poll() is None:
        time.sleep(0.01)
    shards[1].send_signal(signal.SIGKILL)
    said = [ended(process) for process in shards]
    assert sorted(code for code, _, _ in said) == [-signal.SIGKILL, 0, 1]
    again = ended(start(*command, "--out", out, "--shard", "2/3"))
    assert (again[0], "cases were already finished" in again[2] or journal.exists()) == (0, True), again[2]
    assert contents(out) == contents(tmp_path / "alone")
    assert (out / "index.html").is_file()


@pytest.mark.slow
def test_torchrun_divides_the_images_among_its_processes(photographs: Path, trained: Path, tmp_path: Path) -> None:
    config = ("-m", "monai.bundle", "run", "--config_file", "bundles/unetpp/configs/inference.json")
    given = ("--dataset_dir", photographs, "--weights", trained)
    alone = start(*config, *given, "--output_dir", tmp_path / "alone")
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")
    together = start(*launcher, *config, *given, "--output_dir", tmp_path / "out")
    codes = [ended(alone), ended(together)]
    assert codes[1][0] == 0, codes[1][2]  # an error of one process would have ended the others
    assert "1 of 41 images could not be used" in codes[1][2]
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


@pytest.mark.slow
def test_two_machines_one_of_which_dies(photographs: Path, trained: Path, tmp_path: Path) -> None:
    """The first, at whose port they meet: the other one ends too. The same command on both then does what is left."""
    config = ("-m", "monai.bundle", "run", "--config_file", "bundles/unetpp/configs/inference.json")
    given = (
        "--dataset_dir",
        photographs,
        "--weights",
        trained,
        "--batch_size",
        "1",
        "--formats",
        "['png','rle','coco']",
    )
    alone = start(*config, *given, "--output_dir", tmp_path / "alone")
    assert "1 of 81 images could not be used" in ended(alone)[2]
    out = tmp_path / "out"
    command = (*config, *given, "--output_dir", out)
    first, second = (start(*launcher, *command) for launcher in meeting())
    wait_for(lambda: any(out.glob(".medseg/predictions-*-of-2.jsonl")), first, second)
    journals = [out / ".medseg" / f"predictions-{rank(launcher) + 1}-of-2.jsonl" for launcher in (first, second)]
    wait_for(lambda: len(names(journals[0])) >= 2, first, second)
    halt(first)  # within its share, while the other one comes to its own
    wait_for(lambda: len(names(journals[1])) >= 2, first)
    switch_off(first)
    assert ended(second, seconds=120)[0] != 0
    ended(first)
    done = [{name for name in names(file) if (out / f"{name}_mask.png").is_file()} for file in journals]
    assert not done[0] & done[1], "no two processes write the same file"
    before = {name: (out / f"{name}_mask.png").stat() for name in done[0] | done[1]}
    assert 4 <= len(before) < 80
    again = [start(*launcher, *command) for launcher in meeting()]
    assert [ended(process)[0] for process in again] == [0, 0]
    assert contents(out) == contents(tmp_path / "alone")
    for name, file in before.items():
        now = (out / f"{name}_mask.png").stat()
        assert (now.st_ino, now.st_mtime_ns) == (file.st_ino, file.st_mtime_ns), "what was done is not done again"


@pytest.mark.slow
def test_slices_of_a_stack_become_one_volume(trained: Path, tmp_path: Path) -> None:
    """Though a network of photographs segments them: each share has whole stacks, and the last process joins them."""
    for scan in ("case1_day0", "case2_day0", "case3_day0"):
        folder = tmp_path / "scans" / scan / "scans"
        folder.mkdir(parents=True)
        for number in (1, 2, 3, 4):
            level = np.random.default_rng(number).integers(0, 255, (24, 20, 3), dtype=np.uint8)
            Image.fromarray(level).save(folder / f"slice_{number:04d}_20_24_1.50_1.50.png")
    command = ("-m", "medseg_monai", "predict", "unetpp", tmp_path / "scans", "-w", trained)
    assert ended(start(*command, "--out", tmp_path / "alone"))[0] == 0
    for number in (2, 1):
        assert ended(start(*command, "--out", tmp_path / "out", "--shard", f"{number}/2"))[0] == 0
    names = [
        path.relative_to(tmp_path / "alone") for path in sorted((tmp_path / "alone").rglob("*.*")) if path.is_file()
    ]
    assert sum(name.name.endswith(".nii.gz") for name in names) == 3
    for name in names:
        if ".medseg" not in name.parts and name.suffix != ".html":
            assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "alone" / name).read_bytes(), name
