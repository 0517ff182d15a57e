"""Keep the bundles equal in all they do not own.

    python scripts/sync_bundles.py          write every bundle's shared parts anew from the reference bundle
    python scripts/sync_bundles.py --check  say what differs, exit 1 if anything does

A bundle owns its architecture, loss, learning rate, batch size, augmentation, demo data and name, its metadata and its model card. All else
is the reference bundle's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

BUNDLES = Path(__file__).resolve().parent.parent / "bundles"
REFERENCE = "unetpp"
# keys of a config that belong to the bundle
OWNED = {"bundle", "architecture", "loss", "lr", "batch_size", "weight_decay", "augmentation", "demo"}
CONFIGS = ("train", "evaluate", "tune", "inference", "explain", "multi_gpu_train")
# metadata keys that are equal in every bundle
SHARED_METADATA = (
    "schema",
    "version",
    "changelog",
    "monai_version",
    "pytorch_version",
    "numpy_version",
    "required_packages_version",
)
COPIED = ("configs/logging.conf", "docs/data_license.txt", "LICENSE")


def expected_files(bundle: Path) -> dict[Path, str]:
    """What the bundle's shared files should hold, by path."""
    reference = BUNDLES / REFERENCE
    files = {bundle / name: (reference / name).read_text(encoding="utf-8") for name in COPIED}
    for name in CONFIGS:
        path = Path("configs") / f"{name}.json"
        theirs = json.loads((reference / path).read_text(encoding="utf-8"))
        own = json.loads((bundle / path).read_text(encoding="utf-8")) if (bundle / path).is_file() else {}
        merged = {key: own.get(key, value) if key in OWNED else value for key, value in theirs.items()}
        if "bundle" in merged:
            merged["bundle"] = bundle.name
        files[bundle / path] = dump(merged)
    metadata_path = bundle / "configs" / "metadata.json"
    shared = json.loads((reference / "configs" / "metadata.json").read_text(encoding="utf-8"))
    own = json.loads(metadata_path.read_text(encoding="utf-8"))
    files[metadata_path] = dump({**own, **{key: shared[key] for key in SHARED_METADATA}})
    return files


def dump(content: dict[str, object]) -> str:
    """JSON as the bundles are written: four spaces, one newline at the end."""
    return json.dumps(content, indent=4, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check every bundle; returns the exit code."""
    check = "--check" in arguments
    differing = []
    for bundle in sorted(path.parent.parent for path in BUNDLES.glob("*/configs/metadata.json")):
        for path, text in expected_files(bundle).items():
            if path.is_file() and path.read_text(encoding="utf-8") == text:
                continue
            differing.append(path.relative_to(BUNDLES.parent))
            if not check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for path in differing:
        print(f"{'differs' if check else 'written'}: {path}")
    if check and differing:
        print("run: python scripts/sync_bundles.py")
    return 1 if check and differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
