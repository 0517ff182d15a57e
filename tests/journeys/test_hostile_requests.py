"""Hostile and malformed requests to a real MONAI Label server: each has its answer, writes nothing outside the studies, runs nothing.

Run by `make test-label`. The numbers in docs/reliability.md are those of the tables below; a test compares them.
"""

import gzip
import http.client
import io
import json
import pickle
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import nibabel
import numpy as np
import pytest
import torch
from conftest import REPOSITORY
from label_server import Server, label_server, png

pytest.importorskip("monailabel")
requests = pytest.importorskip("requests")
pytestmark = pytest.mark.label

MAX_UPLOAD_MB = 2
CODE = "$__import__('os').mkdir('ran')"
"""What makes a folder named ``ran`` where the server runs, if anything runs it."""
PICTURE = png(np.arange(64 * 48).reshape(48, 64) % 251)
MASK = png(np.eye(48, 64))


class MakesFolder:
    """Code in a pickle."""

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.mkdir, ("ran",)


def code_in_weights() -> bytes:
    content = io.BytesIO()
    torch.save({"model": MakesFolder()}, content)
    return content.getvalue()


def saved(tensors: Any) -> bytes:
    content = io.BytesIO()
    torch.save(tensors, content)
    return content.getvalue()


def huge_picture() -> bytes:
    """A PNG of a few bytes whose header promises 60,000 x 60,000 pixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def huge_volume() -> bytes:
    """A NIfTI file of a few bytes whose header promises 30,000 x 30,000 x 30,000 voxels."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((30_000, 30_000, 30_000))
    header.set_data_dtype(np.int16)
    header["magic"], header["vox_offset"] = b"n+1", 352
    return gzip.compress(header.binaryblock + b"\0" * 100)


def cut_volume() -> bytes:
    return nibabel.Nifti1Image(np.zeros((8, 8, 8), np.int16), np.eye(4)).to_bytes()[:200]


def climbing_zip() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("../../climbed.png", PICTURE)
    return content.getvalue()


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 48\n(ran) (w) file closefile\nshowpage\n"
DETACHED = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 2 2 2\ndata file: /etc/passwd\nencoding: raw\n\n"
METAIMAGE = b"NDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = /etc/passwd\n"
NESTED = "[" * 100 + "]" * 100

Ask = Callable[[Server], Any]
Table = dict[str, tuple[Ask, int]]


def put_image(name: str | None, content: bytes = PICTURE, file: str = "x.png") -> Ask:
    query = "" if name is None else f"?image={quote(name, safe='')}"
    return lambda s: s.put(f"/datastore/image{query}", files={"file": (file, content)})


def put_label(image: str = "a", tag: str = "final", content: bytes = MASK, params: str = "{}") -> Ask:
    query = f"?image={quote(image, safe='')}&tag={quote(tag, safe='')}"
    return lambda s: s.put(f"/datastore/label{query}", files={"label": ("x.png", content)}, data={"params": params})


def infer(params: Any, query: str = "image=a") -> Ask:
    text = params if isinstance(params, str) else json.dumps(params)
    return lambda s: s.post(f"/infer/unetpp?{query}&output=json", data={"params": text})


def post(path: str, body: Any) -> Ask:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return lambda s: s.post(path, data=content, headers={"Content-Type": "application/json"})


def get(path: str) -> Ask:
    return lambda s: s.get(path)


def put_info(info: str, path: str = "/datastore/image/info?image=a") -> Ask:
    return lambda s: s.put(path, data={"info": info})


def session(*files: tuple[str, bytes], query: str = "") -> Ask:
    return lambda s: s.put(f"/session/{query}", files=[("files", file) for file in files])


def weights(content: Callable[[], bytes]) -> Ask:
    return lambda s: s.put("/model/unetpp", files={"file": ("model.pt", content())})


def delete(path: str) -> Ask:
    return lambda s: requests.delete(s.url + path, timeout=60)


def head(path: str) -> Ask:
    return lambda s: requests.head(s.url + path, timeout=60)


def raw(method: str, path: str, body: bytes = b"", **headers: str) -> Ask:
    """A request as it stands: `requests` would tidy its path."""

    def ask(server: Server) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body=body, headers=named)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    return ask


def chunks(total: int) -> Iterator[bytes]:
    """A body that does not say how long it is."""
    yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="x.png"\r\n\r\n'
    for _ in range(total // 65536):
        yield b"\0" * 65536
    yield b"\r\n--x--\r\n"


NAMES: Table = {
    f"image {name!r}": (put_image(name), 422)
    for name in (
        *(
            "../x",
            "..",
            ".",
            "../../x",
            "/etc/x",
            "//x/y",
            "a/../../x",
            "labels/final/a",
            "labels/final/../../../x",
            "./x",
        ),
        *("..\\x", "C:\\x", "\\\\server\\x", "..%2fx/..", ".hidden", " x", "x ", "x/", "a\nb", "a\r\nSet-Cookie: b=c"),
        *("a\0b", "\x1b[31mred", "a\x7f", "line\u2028end", "x" * 181, "x" * 3000, "x" * 5000, "é" * 100, "名" * 80),
        "$__import__('os').system('touch /tmp/ran')",
    )
} | {
    f"tag {tag!r}": (put_label(tag=tag), 422)
    for tag in ("../../../x", "/etc", "a/b", "..", ".x", "a\\b", "a\nb", "a\0b", "x" * 300, " ")
}
ACCEPTED = (
    CODE,
    "%x",
    "@lr",
    "50%#1 läsion",
    "a@##b",
    "train::x",
    "%2e%2e%2fx",
    "名前",
    "b.png",
    "-rf",
    "~",
    "a;b|c&d",
    "*",
)
NAMES |= {f"new image {name!r}": (put_image(name), 200) for name in ACCEPTED}
NAMES |= {
    "an image that is there": (put_image("a"), 409),
    "an image that is there, of another kind": (put_image("a", PICTURE, "x.tif"), 409),
    "an image that is there, by its file's name": (put_image(None, PICTURE, "C:\\pictures\\a.png"), 409),
    "no name at all": (put_image("", PICTURE, ".png"), 422),
    "a file's name that climbs": (put_image(None, PICTURE, "../../climbed/..png"), 422),
    "path with encoded dots": (raw("GET", "/session/%2e%2e%2f%2e%2e"), 404),
    "path with doubly encoded dots": (raw("GET", "/session/%252e%252e%252fx"), 404),
    "path with dots": (raw("GET", "/static/../../../../etc/hostname"), 404),
    "path with encoded slashes": (raw("GET", "/static/..%2f..%2f..%2fsetup.py"), 404),
    "path with a NUL": (raw("GET", "/session/a%00b"), 404),
    "model with a NUL": (raw("POST", "/infer/a%00b?image=a"), 404),
    "OHIF's files with dots": (raw("GET", "/ohif/%2e%2e/%2e%2e/infer.py"), 200),  # its first page, as for any address
    "download by path": (get("/datastore/image?image=../outside.txt"), 404),
    "download by absolute path": (get("/datastore/image?image=/etc/hostname"), 404),
    "label by path": (get("/datastore/label?label=../a&tag=final"), 404),
    "label of a tag by path": (get("/datastore/label?label=a&tag=../.."), 404),
    "segment a file of the server": (infer({}, "image=/etc/hostname"), 404),
    "segment a file of the temporary folder": (infer({}, "image=/tmp"), 404),
    "segment a file beside the studies": (infer({}, "image=../outside.png"), 404),
    "segment a folder where the server runs": (infer({}, "image=."), 404),
    "segment by a session's path": (infer({}, "image=&session_id=../../outside"), 404),
    "delete by path": (delete("/datastore/image?id=../outside"), 404),
    "delete a label by path": (delete("/datastore/label?id=a&tag=../../../outside"), 404),
    "delete a session by path": (raw("DELETE", "/session/.."), 404),
    "the way to another server": (raw("GET", "/proxy/dicom/wado/../../x"), 404),
}

FILES: Table = {
    "text named .png": (put_image("n", b"no picture"), 422),
    "empty file": (put_image("n", b""), 422),
    "picture truncated": (put_image("n", PICTURE[:60]), 422),
    "picture of 3.6 gigapixels": (put_image("n", huge_picture()), 422),
    "PostScript named .png": (put_image("n", POSTSCRIPT), 422),
    "zip named .png": (put_image("n", climbing_zip()), 422),
    "HTML named .jpg": (put_image("n", b"<script>alert(1)</script>", "x.jpg"), 422),
    "SVG": (put_image("n", b"<svg/>", "x.svg"), 422),
    "program": (put_image("n", b"\x7fELF", "x.exe"), 422),
    "file without a suffix": (put_image("n", PICTURE, "x"), 422),
    "file whose suffix is a path": (put_image("n", PICTURE, "x.png/../../y"), 422),
    "volume of 27e12 voxels": (put_image("n", huge_volume(), "x.nii.gz"), 422),
    "volume truncated": (put_image("n", cut_volume(), "x.nii"), 422),
    "gzip of nothing": (put_image("n", gzip.compress(b""), "x.nii.gz"), 422),
    "NRRD that names another file": (put_image("n", DETACHED, "x.nrrd"), 422),
    "NRRD that names another file after many comments": (
        put_image("n", DETACHED.replace(b"\n", b"\n" + b"# x\n" * 100_000, 1), "x.nrrd"),
        422,
    ),
    "NIfTI header without its voxels": (put_image("n", huge_volume(), "x.hdr"), 422),
    "picture of GIF's kind, truncated": (put_image("n", b"GIF89a", "x.gif"), 422),
    "MetaImage that names another file": (put_image("n", METAIMAGE, "x.mhd"), 422),
    "MetaImage that names another file, as a label": (
        lambda s: s.put("/datastore/label?image=a&tag=final", files={"label": ("x.mha", METAIMAGE)}),
        422,
    ),
    "no file": (lambda s: s.put("/datastore/image?image=n", data={"params": "{}"}), 422),
    "text instead of a file": (lambda s: s.put("/datastore/image?image=n", data={"file": "x"}), 422),
    "3 MB where 2 are allowed": (put_image("n", b"\0" * (3 << 20)), 413),
    "3 MB of unknown length": (
        lambda s: s.put(
            "/datastore/image", data=chunks(3 << 20), headers={"Content-Type": "multipart/form-data; boundary=x"}
        ),
        413,
    ),
    "3 MB to segment": (lambda s: s.post("/infer/unetpp", files={"file": ("x.png", b"\0" * (3 << 20))}), 413),
    "3 MB as label": (put_label(content=b"\0" * (3 << 20)), 413),
    "3 MB as weights": (weights(lambda: b"\0" * (3 << 20)), 413),
    "3 MB as session": (session(("x.png", b"\0" * (3 << 20))), 413),
    "1 MB of JSON": (post("/train/unetpp", {"client_id": "x" * (1 << 20)}), 413),
    "form without a boundary": (raw("PUT", "/datastore/image", b"x", Content_Type="multipart/form-data"), 400),
    "form that ends in the middle": (
        raw(
            "PUT",
            "/datastore/image",
            b'--x\r\nContent-Disposition: form-data; name="file"',
            Content_Type="multipart/form-data; boundary=x",
        ),
        422,
    ),
    "unknown type of content": (raw("PUT", "/datastore/image?image=n", PICTURE, Content_Type="image/png"), 422),
    "text as label": (put_label(content=b"x"), 422),
    "label of an unknown image": (put_label("nobody"), 404),
    "scribbles": (lambda s: s.post("/infer/unetpp?image=a", files={"label": ("x.bin", b"\0")}), 422),
    "text to segment": (lambda s: s.post("/infer/unetpp", files={"file": ("x.png", b"x")}), 422),
    "text as session": (session(("x.nii.gz", b"x")), 422),
    "zip to unpack as session": (session(("x.zip", climbing_zip()), query="?uncompress=true"), 422),
    "session in the place of its own notes": (session(("meta.info", b"{}")), 422),
    "session of two files that are not a series": (session(("a.dcm", b"x"), ("b.dcm", b"y")), 422),
    "session of files that climb": (session(("a.dcm", b"x"), ("..", b"y")), 422),
    "session without a file": (lambda s: s.put("/session/"), 422),
    "session for ever": (session(("x.png", PICTURE), query=f"?expiry={10**30}"), 422),
    "session for a negative time": (session(("x.png", PICTURE), query="?expiry=-1"), 422),
    "weights that are text": (weights(lambda: b"weights"), 422),
    "weights that hold code": (weights(code_in_weights), 422),
    "weights that are code": (weights(lambda: pickle.dumps(MakesFolder())), 422),
    "weights of another network": (weights(lambda: saved({"a": torch.zeros(2)})), 422),
    "weights of no model": (lambda s: s.put("/model/nobody", files={"file": ("model.pt", b"x")}), 404),
}

FIELDS: Table = {
    f"train {body}": (post("/train/unetpp", body), 422)
    for body in (
        *({"max_epochs": value} for value in (CODE, 0, -1, 10**9, 10**30, "many", 2.5, None, [1], {})),
        *({"lr": value} for value in (CODE, 0, -0.1, 2, "fast")),
        *({"batch_size": value} for value in (CODE, 0, 10**6)),
        *({"val_split": value} for value in (CODE, -1, 1)),
        *({"run_id": value} for value in (CODE, "initialize", "train#trainer", ["run"])),
        *({"gpus": value} for value in (CODE, "0;ls", "$(ls)", "all,0", 0)),
        *({"device": value} for value in (CODE, "tpu", "meta", "cpu:x", 5, [CODE], [])),
        *({"model_filename": value} for value in (CODE, "../model.pt", "/etc/passwd", "x", 5)),
        *({"tracking": CODE}, {"tracking": "mlflow"}, {"tracking_uri": "http://127.0.0.1:1/"}, {"tracking_uri": CODE}),
        *({"tracking_experiment_name": CODE}, {"tracking_run_name": "@lr"}, {"pretrained": CODE}, {"multi_gpu": CODE}),
        *(
            {"max_epoch": 1},
            {"_target_": "os.system"},
            {"train#trainer#max_epochs": 1},
            {"bundle_path": "/tmp"},
            {CODE: 1},
        ),
        *({"model": "unetpp"}, {"network_def": CODE}, {"local_rank": 1}),
    )
} | {
    f"infer {str(params)[:60]}": (infer(params), 422)
    for params in (
        *(
            "not JSON",
            "[1]",
            "5",
            '"x"',
            '{"timeout": NaN}',
            '{"timeout": Infinity}',
            '{"timeout": 1e999}',
            '{"a": 1',
            "{" * 5000,
        ),
        *(
            '{"client_id": "\\ud800"}',
            '{"timeout": ' + "9" * 5000 + "}",
            '{"label_info": ' + NESTED + "}",
            " " * 70_000,
        ),
        *({"device": value} for value in (CODE, "tpu", "meta", 5, ["tpu"], {"a": 1})),
        *({"model_filename": value} for value in ("../../../outside.pt", "previous/1/model.pt", CODE)),
        *({"result_extension": value} for value in ("/../../x.png", CODE, ".png\n", "png", 5)),
        *({"result_dtype": value} for value in ("apple", CODE, "object", 5)),
        *({"logging": "LOUD"}, {"logging": CODE}, {"save_label": "perhaps"}, {"label_tag": "../x", "save_label": True}),
        *({"image": "/etc/passwd"}, {"model": "unetpp"}, {"skip_writer": True}, {"result_write_to_file": False}),
        *(
            {"output": "exe"},
            {"client_id": "x" * 300},
            {"timeout": -1},
            {"bundle_root": CODE},
            {CODE: 1},
            {"results_dtype": "uint8"},
        ),
        *({"foreground": CODE}, {"label_info": 5}),
    )
}
FIELDS |= {
    f"{method} {path} {str(body)[:50]}": (post(path, body), status)
    for method, path, body, status in (
        ("POST", "/train/unetpp", b"{not JSON", 422),
        ("POST", "/train/unetpp", b"\xff\xfe", 422),
        ("POST", "/train/unetpp", b"[]", 422),
        ("POST", "/train/unetpp", b'{"lr": NaN}', 422),
        ("POST", "/train/unetpp?run_sync=perhaps", {}, 422),
        ("POST", "/train/nobody", {}, 404),
        ("POST", "/train/", {"unetpp": 5}, 422),
        ("POST", "/train/", {"unetpp": {"max_epochs": CODE}}, 422),
        ("POST", "/train/", {"max_epochs": CODE}, 422),
        ("POST", "/batch/infer/nobody", {}, 404),
        ("POST", "/batch/infer/unetpp?images=some", {}, 422),
        ("POST", "/batch/infer/unetpp", {"images": ["../x"]}, 422),
        ("POST", "/batch/infer/unetpp", {"images": CODE}, 422),
        ("POST", "/batch/infer/unetpp", {"label_tag": "../../x"}, 422),
        ("POST", "/batch/infer/unetpp", {"max_workers": 10**9}, 422),
        ("POST", "/batch/infer/unetpp", {"max_batch_size": -1}, 422),
        ("POST", "/batch/infer/unetpp", {"device": CODE}, 422),
        ("POST", "/batch/infer/unetpp", {"gpus": "0; ls"}, 422),
        ("POST", "/activelearning/best", {}, 404),
        ("POST", "/activelearning/uncertainty", {"max_samples": CODE}, 422),
        ("POST", "/activelearning/uncertainty", {"max_samples": 0}, 422),
        ("POST", "/activelearning/first", {"strategy": "random"}, 422),
        ("POST", "/activelearning/first", {"client_id": [1]}, 422),
        ("POST", "/scoring/dice", {}, 404),
        ("POST", f"/scoring/{quote(CODE)}", {}, 404),
        ("POST", "/scoring/uncertainty", {"max_samples": "many"}, 422),
        ("POST", "/infer/wsi/unetpp", {"size": [10**12, 10**12]}, 422),
        ("POST", "/infer/wsi_v2/nobody", {}, 404),
        ("POST", "/reload", {}, 404),
    )
}
FIELDS |= {
    f"keep {info[:50]}": (put_info(info), 422)
    for info in (
        *(
            "not JSON",
            "[]",
            '{"strategy": 5}',
            '{"uncertainty_unetpp": "x"}',
            '{"path": "/etc"}',
            '{"a": NaN}',
            '{"a": 1e999}',
        ),
        *('{"a": "\\ud800"}', '{"label_info": 5}', '{"label_info": [{"name": 5}]}', '{"a": ' + NESTED + "}"),
    )
}
FIELDS |= {
    "label with a list of segments that is none": (put_label(params='{"label_info": [5]}'), 422),
    "label with params that are not JSON": (put_label(params="{"), 422),
    "information of an unknown image": (get("/datastore/image/info?image=nobody"), 404),
    "keep with an unknown image": (put_info("{}", "/datastore/image/info?image=nobody"), 404),
    "keep with an unknown label": (put_info("{}", "/datastore/label/info?label=a&tag=none"), 404),
    "information of an unknown label": (get("/datastore/label/info?label=a&tag=none"), 404),
    "unknown image": (get("/datastore/image?image=nobody"), 404),
    "whether an unknown image is there": (head("/datastore/image?image=nobody"), 404),
    "wrong checksum": (head("/datastore/image?image=a&check_sum=SHA256:00"), 404),
    "unknown checksum": (head("/datastore/image?image=a&check_sum=CRC:00"), 422),
    "unknown label": (head("/datastore/label?image=a&tag=none"), 404),
    "delete an unknown image": (delete("/datastore/image?id=nobody"), 404),
    "delete an unknown label": (delete("/datastore/label?id=a&tag=none"), 404),
    "delete without a name": (delete("/datastore/image"), 422),
    "unknown list": (get("/datastore/?output=everything"), 422),
    "download of nothing": (get("/datastore/dataset"), 404),
    "download of a negative number": (get("/datastore/dataset?limit_cases=-1"), 422),
    "number type that a PNG does not have": (
        lambda s: s.post("/infer/unetpp?image=a&output=image", data={"params": '{"result_dtype": "float64"}'}),
        422,
    ),
    "unknown output": (lambda s: s.post("/infer/unetpp?image=a&output=film"), 422),
    "DICOM-SEG of a photograph": (lambda s: s.post("/infer/unetpp?image=a&output=dicom_seg"), 422),
    "unknown model": (lambda s: s.post("/infer/unetp?image=a"), 404),
    "nothing to segment": (lambda s: s.post("/infer/unetpp"), 422),
    "unknown session": (infer({}, "image=&session_id=00000000-0000-0000-0000-000000000000"), 404),
    "weights of an unknown model": (get("/model/nobody"), 404),
    "checksum of an unknown model": (get("/model/info/nobody"), 404),
    "delete an unknown model": (delete("/model/nobody"), 404),
    "log of no lines": (get("/logs/?lines=-1"), 422),
    "log of 1e30 lines": (get(f"/logs/?lines={10**30}"), 422),
    "studies that are not a DICOMweb server": (get("/proxy/dicom/qido/studies"), 404),
    "unknown method": (raw("PATCH", "/train/unetpp"), 405),
    "unknown address": (get("/nothing"), 404),
}
TABLES = {"names and paths": NAMES, "files": FILES, "fields": FIELDS}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that the server could write to: studies, home, temporary files, where it runs."""
    folder = tmp_path_factory.mktemp("place")
    for name in ("studies", "home", "tmp", "runs"):
        (folder / name).mkdir()
    for name in ("a", "linked"):
        (folder / "studies" / f"{name}.png").write_bytes(PICTURE)
    (folder / "outside.png").write_bytes(PICTURE)
    (folder / "outside.txt").write_text("kept")
    (folder / "studies" / "linked.png").unlink()
    (folder / "studies" / "linked.png").symlink_to(folder / "outside.png")
    return folder


@pytest.fixture(scope="module")
def server(place: Path, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of one model that takes 2 MB."""
    environment = {"HOME": str(place / "home"), "TMPDIR": str(place / "tmp")}
    log = tmp_path_factory.mktemp("log") / "server.log"
    bundles, bound = f"{REPOSITORY / 'bundles' / 'unetpp'}={trained}", ("--max-upload-mb", str(MAX_UPLOAD_MB))
    with label_server(
        place / "studies", bundles, log, *bound, environment=environment, folder=place / "runs"
    ) as running:
        running.post("/infer/unetpp?image=a&output=json")  # what the first image leaves in caches is there now
        yield running


def outside(place: Path) -> dict[str, int]:
    """All that lies outside the studies, with its size; caches of libraries aside."""
    files = (path for path in place.rglob("*") if "studies" not in path.relative_to(place).parts[:1])
    return {
        str(path.relative_to(place)): path.stat().st_size
        for path in files
        if ".cache" not in path.parts and "torchinductor" not in str(path)
    }


def images(place: Path) -> set[str]:
    """Images and labels of the studies."""
    return {
        str(path.relative_to(place))
        for path in (place / "studies").rglob("*")
        if "monailabel_app" not in path.parts and path.name not in (".lock", "datastore_v2.json")
    }


@pytest.mark.parametrize("what", [f"{kind}: {name}" for kind, table in TABLES.items() for name in table])
def test_each_has_its_answer_and_leaves_nothing(server: Server, place: Path, what: str):
    kind, name = what.split(": ", 1)
    ask, status = TABLES[kind][name]
    around, kept = outside(place), images(place)
    answer = ask(server)
    code = answer.status if isinstance(answer, http.client.HTTPResponse) else answer.status_code
    assert code == status, getattr(answer, "text", "")
    if status in (404, 409, 413, 422) and getattr(answer, "text", ""):
        assert "\n" not in answer.json()["detail"]
        assert str(place) not in answer.text, "no path of the server"
    assert outside(place) == around, "nothing is written outside the studies, nor left in the temporary folder"
    assert not list(place.rglob("ran")), "nothing runs"
    if status != 200:
        assert images(place) == kept
    assert server.get("/info/").status_code == 200
    assert server.get("/datastore/?output=all").status_code == 200


def test_labels_of_images_with_names_that_look_like_configs_are_learnt_from(server: Server, place: Path):
    """The names are literal text wherever they go: to files, to a batch's process, to a training's config."""
    there = server.get("/datastore/?output=all").json()["objects"]
    for name in ACCEPTED:
        if name not in there:
            assert put_image(name)(server).status_code == 200
        assert put_label(name)(server).json() == {"image": name, "label": name}
        assert server.get(f"/datastore/label?label={quote(name, safe='')}&tag=final").content == MASK
    around = outside(place)
    assert server.post("/train/unetpp", json={"max_epochs": 1, "run_id": "", "device": "cpu"}).status_code == 200
    state = server.finished("/train/")
    assert state["status"] == "DONE", state["details"]
    assert "left out of training" not in server.log.read_text()
    server.post("/batch/infer/unetpp?images=labeled", json={"device": "cpu"})
    assert server.finished("/batch/infer")["status"] == "DONE"
    labels = server.get("/datastore/?output=all").json()["objects"]
    assert all("original" in labels[name]["labels"] for name in ACCEPTED)
    assert not list(place.rglob("ran"))
    assert outside(place) == around


def test_links_in_the_studies_are_removed_and_written_without_what_they_lead_to(server: Server, place: Path):
    (place / "studies" / "labels" / "final" / "linked.png").symlink_to(place / "outside.txt")
    assert put_label("linked")(server).status_code == 200
    assert (place / "outside.txt").read_text() == "kept"
    assert server.post("/infer/unetpp?image=linked&output=json").status_code == 200
    assert delete("/datastore/image?id=linked")(server).status_code == 200
    assert not (place / "studies" / "linked.png").is_symlink()
    assert (place / "outside.png").read_bytes() == PICTURE
    (place / "studies" / "labels" / "elsewhere").symlink_to(place / "home")
    assert put_label(tag="elsewhere")(server).status_code == 422
    (place / "studies" / "labels" / "elsewhere").unlink()


def test_the_docs_give_the_numbers_of_these_tables():
    text = (REPOSITORY / "docs" / "reliability.md").read_text()
    for kind, table in TABLES.items():
        assert re.search(rf"^\| {kind} \|.*\| {len(table)} \| {len(table)} \|$", text, re.MULTILINE), (kind, len(table))
