"""What the doctor finds: facts of this machine, and what is missing with its cure."""

from pathlib import Path

import pytest

from medseg_monai.program import doctor
from medseg_monai.program.doctor import examine


def finding(what: str) -> doctor.Finding:
    return next(found for found in examine() if found.what == what)


def test_required_packages_are_there_and_a_missing_one_comes_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all(finding(package).fine for package in ("python", "torch", "monai", "numpy"))
    monkeypatch.setattr(doctor, "REQUIRED", ("torch", "no-such-package"))
    missing = finding("no-such-package")
    assert (missing.fine, missing.found) == (False, "missing: pip install no-such-package")


@pytest.mark.parametrize(
    ("names", "cuda", "fine", "found"),
    [
        ("", "12.4", False, "none found: computing on the CPU"),
        ("H100", "", False, "H100, but this torch has no CUDA"),
        ("H100, H100", "12.4", True, "H100, H100, torch's CUDA 12.4"),
    ],
)
def test_a_gpu_is_fine_with_a_torch_that_can_use_it(names: str, cuda: str, fine: bool, found: str) -> None:
    gpu = doctor._gpu(names, cuda)
    assert gpu.fine is fine
    assert gpu.found.startswith(found)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (set(), "unknown"),
        ({"avx2"}, "float32 only"),
        ({"avx512_bf16"}, "bfloat16 in hardware"),
        ({"amx_tile"}, "bfloat16 in hardware"),
    ],
)
def test_bfloat16_is_told_by_the_processors_flags(flags: set[str], words: str) -> None:
    assert words in doctor._bfloat16(flags)


def test_the_cache_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDSEG_CACHE", str(tmp_path / "cache"))
    assert finding("cache").found.startswith("0 MB of decoded images in ")
    (tmp_path / "cache" / "a").mkdir(parents=True)
    (tmp_path / "cache" / "a" / "b").write_bytes(bytes(3_000_000))
    assert finding("cache").found.startswith(f"3 MB of decoded images in {tmp_path / 'cache'}")


def test_bundles_are_named_with_what_they_were_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    assert finding("bundle unetpp").found == "trained on: shipped weights"

    def none() -> list[Path]:
        raise FileNotFoundError("no bundles here")

    monkeypatch.setattr(doctor, "list_bundles", none)
    assert (finding("bundles").fine, finding("bundles").found) == (False, "no bundles here")
