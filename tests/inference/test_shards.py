"""Shares of a run: every image in exactly one, the slices of a stack together."""

import pytest

from medseg_monai.inference.shards import Shard


@pytest.mark.parametrize("of", [1, 2, 3, 7, 20])
def test_every_image_is_in_exactly_one_share_and_shares_are_equal(of: int) -> None:
    cases = [{"id": str(number), "image": f"{number}.jpg"} for number in range(17)]
    shares = [Shard(number, of).select(cases) for number in range(1, of + 1)]
    assert sorted(int(case["id"]) for share in shares for case in share) == list(range(17))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_the_slices_of_a_stack_stay_together() -> None:
    names = [
        f"case{scan}_day0/scans/slice_{number:04d}_10_12_1.50_1.50.png" for scan in range(5) for number in range(3)
    ]
    cases = [{"image": [name, name, name] if "case1" in name else name} for name in names]
    for number, expected in ((1, {0, 2, 4}), (2, {1, 3})):
        found = [case["image"] for case in Shard(number, 2).select(cases)]
        stacks = [int((image if isinstance(image, str) else image[1])[4]) for image in found]
        assert (set(stacks), len(stacks)) == (expected, 3 * len(expected))


def test_names() -> None:
    assert (Shard.of_process("2/8"), Shard.of_process(" 8 / 8 ")) == (Shard(2, 8), Shard(8, 8))
    assert (Shard(2, 8).name, str(Shard(2, 8)), Shard(2, 8).is_whole) == ("2-of-8", "shard 2/8", False)
    assert (Shard().name, Shard().is_whole, Shard.of_process("1/1")) == ("", True, Shard())


@pytest.mark.parametrize("text", ["3/2", "0/2", "2", "a/b", "-1/2", "1/2/3", "1/0", "1.5/2", "$1/2", "²/3"])
def test_what_names_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="shard"):
        Shard.of_process(text)


def test_processes_of_torchrun_share_the_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "4")
    assert Shard.of_process() == Shard()  # other programs set these too
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert Shard.of_process() == Shard(3, 4, launched=True)
    assert Shard.of_process("1/2") == Shard(1, 2)
    assert not Shard.of_process("1/2").launched  # an error of this process ends no other
