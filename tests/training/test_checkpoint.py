"""A checkpoint is whole or passed over for the one before; it holds no code."""

import pickle
from pathlib import Path

import pytest
import torch

from medseg_monai.training.checkpoint import find_checkpoint, read_checkpoint, write_checkpoint
from medseg_monai.training.folder import before_last


def test_the_one_before_stays_until_the_training_ends(tmp_path: Path) -> None:
    (tmp_path / ".medseg").mkdir()
    for epoch in (1, 2, 3):
        write_checkpoint(tmp_path, {"epoch": epoch, "network": {"w": torch.tensor([float(epoch)])}})
    assert [read_checkpoint(file)["epoch"] for file in (tmp_path / "last.pt", before_last(tmp_path))] == [3, 2]
    assert find_checkpoint(tmp_path) == tmp_path / "last.pt"
    write_checkpoint(tmp_path, {"epoch": 3}, keep_before=False)
    assert not before_last(tmp_path).exists()


def test_damage_anywhere_is_noticed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / ".medseg").mkdir()
    weights = torch.arange(64.0)
    for epoch in (1, 2):
        write_checkpoint(tmp_path, {"epoch": epoch, "network": {"w": weights}})
    content = (tmp_path / "last.pt").read_bytes()
    begin = content.index(weights.numpy().tobytes())
    for damaged in (content[:-1], content[: len(content) // 2], b"", content[:begin] + b"\xff" + content[begin + 1 :]):
        (tmp_path / "last.pt").write_bytes(damaged)
        assert find_checkpoint(tmp_path) == before_last(tmp_path)
    assert caplog.text.count("passed over for the checkpoint before it") == 4


def test_code_is_not_unpickled(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "harm",)  # type: ignore[return-value]

    torch.save({"format": 1, "state": Harm()}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match=r"last.pt is torn or damaged"):
        read_checkpoint(tmp_path / "last.pt")
    (tmp_path / "last.pt").write_bytes(pickle.dumps(Harm()))
    assert find_checkpoint(tmp_path) is None
    assert not (tmp_path / "harm").exists()


def test_earlier_versions_kept_too_little_to_continue(tmp_path: Path) -> None:
    torch.save({"network": {}, "epoch": 3}, tmp_path / "last.pt")
    with pytest.raises(ValueError, match="another version"):
        read_checkpoint(tmp_path / "last.pt")
