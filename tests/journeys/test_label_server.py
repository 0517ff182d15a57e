"""A real MONAI Label server over HTTP, as annotation tools use it: photographs and volumes, learning, requests that are wrong.

Run by `make test-label` in the environment that MONAI Label is installed in.
"""

import gzip
import io
import json
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from conftest import REPOSITORY
from label_server import Server, label_server, png
from PIL import Image
from scipy.ndimage import binary_fill_holes

from medseg_monai.bundle.assignments import parse_assignments
from medseg_monai.bundle.paths import find_bundle
from medseg_monai.bundle.workflow import run_bundle
from medseg_monai.dataset import read_dataset
from medseg_monai.prepare.demo import prepare_demo

pytest.importorskip("monailabel")
requests = pytest.importorskip("requests")
pytestmark = pytest.mark.label

# names as cameras and people write them; `turned` lies on its side and says so
PHOTOGRAPHS = ("a.jpg", "B.JPG", "c.jpeg", "d.PNG", "turned.jpg")


@pytest.fixture(scope="module")
def photo_weights(demo_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights of a small U-Net++ that finds something: only then can it be seen to learn more."""
    folder = tmp_path_factory.mktemp("photographs")
    settings = ["architecture#features=[8, 16, 16]", "batch_size=4", "size=[64, 64]", "max_epochs=12", "lr=0.01"]
    given = {"dataset_dir": str(demo_data), "output_dir": str(folder), **parse_assignments(settings)}
    run_bundle(find_bundle(REPOSITORY / "bundles" / "unetpp"), "train", given)
    return folder


@pytest.fixture(scope="module")
def volume_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights of a small 3D network and the volumes it was trained on."""
    folder = tmp_path_factory.mktemp("volumes")
    prepare_demo(folder / "data", kind="volumes", n=6, size=(32, 32, 32))
    settings = ["architecture#features=[4, 8]", "batch_size=1", "max_epochs=2"]
    given = {"dataset_dir": str(folder / "data"), "output_dir": str(folder / "weights"), **parse_assignments(settings)}
    run_bundle(find_bundle(REPOSITORY / "bundles" / "unet3d"), "train", given)
    return folder


@pytest.fixture(scope="module")
def server(
    photo_weights: Path, demo_data: Path, volume_weights: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """`medseg label serve` with two bundles, until the tests of this file are done."""
    studies = tmp_path_factory.mktemp("studies")
    lay_out(studies, demo_data, volume_weights / "data")
    bundles = f"unetpp={photo_weights},unet3d={volume_weights / 'weights'}"
    with label_server(studies, bundles, tmp_path_factory.mktemp("log") / "server.log") as running:
        yield running


def lay_out(studies: Path, photographs: Path, volumes: Path) -> None:
    """Photographs under all sorts of names, one of them lying on its side, and two scans."""
    for source, name in zip(sorted((photographs / "images").glob("*.jpg")), PHOTOGRAPHS, strict=False):
        picture = Image.open(source)
        exif = Image.Exif()
        if name == "turned.jpg":
            picture, exif[0x0112] = picture.rotate(90, expand=True), 6
        picture.save(studies / name, exif=exif)
    for number, case in enumerate(read_dataset(volumes).cases("training")[:2]):
        shutil.copy(case["image"], studies / f"scan{number}.nii.gz")


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture)


def voxels(content: bytes, folder: Path) -> Any:
    (folder / "answer.nii.gz").write_bytes(content)
    return nibabel.load(folder / "answer.nii.gz")


def predicted(bundle: str, weights: Path, image: Path, out: Path) -> Path:
    """What `medseg predict` writes for an image."""
    given = {"dataset_dir": str(image), "weights": str(weights), "output_dir": str(out)}
    run_bundle(find_bundle(REPOSITORY / "bundles" / bundle), "inference", given)
    (mask,) = [path for path in out.rglob("*_mask*") if path.suffix in (".png", ".gz")]
    return mask


def test_info_names_both_bundles_with_their_labels(server: Server, volume_weights: Path):
    info = server.get("/info/").json()
    assert info["models"]["unetpp"]["labels"] == {"lesion": 1}
    assert (info["models"]["unetpp"]["dimension"], info["models"]["unet3d"]["dimension"]) == (2, 3)
    classes = json.loads((volume_weights / "weights" / "spec.json").read_text())["dataset"]["classes"]
    assert info["models"]["unet3d"]["labels"] == {name: number for number, name in enumerate(classes, start=1)}
    assert {"uncertainty", "uncertainty_unetpp", "uncertainty_unet3d", "first", "random"} <= info["strategies"].keys()
    assert info["trainers"].keys() == {"unetpp", "unet3d"}


def test_names_in_any_spelling_are_found(server: Server):
    images = server.get("/datastore/?output=all").json()["objects"]
    assert {"a", "B", "c", "d", "turned", "scan0", "scan1"} <= images.keys()


@pytest.mark.parametrize("name", PHOTOGRAPHS)
def test_a_photographs_mask_is_that_of_medseg_predict(server: Server, photo_weights: Path, name: str, tmp_path: Path):
    """Same size, upright as the picture is shown, exact class numbers, PNG also for JPEG."""
    mask = pixels(server.infer("unetpp", Path(name).stem))
    expected = np.asarray(Image.open(predicted("unetpp", photo_weights, server.studies / name, tmp_path)))
    assert mask.shape == expected.shape == (80, 96)
    assert set(np.unique(mask)) <= {0, 1}
    assert np.array_equal(mask > 0, expected > 0)


def test_a_scans_mask_is_that_of_medseg_predict(server: Server, volume_weights: Path, tmp_path: Path):
    answer = voxels(server.infer("unet3d", "scan0"), tmp_path)
    scan = nibabel.load(server.studies / "scan0.nii.gz")
    expected = nibabel.load(
        predicted("unet3d", volume_weights / "weights", server.studies / "scan0.nii.gz", tmp_path / "out")
    )
    assert np.allclose(answer.affine, scan.affine, atol=1e-4)
    assert np.array_equal(np.asarray(answer.dataobj), np.asarray(expected.dataobj))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the client leaves sockets open
def test_the_wishes_that_clients_send(server: Server, tmp_path: Path):
    """3D Slicer asks for an ending and a type, and sends an empty run_id; the answer comes in parts, with params."""
    from monailabel.client.client import MONAILabelClient

    client = MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="slicer")
    wishes = {
        "result_extension": ".nrrd",
        "result_dtype": "uint16",
        "result_compress": False,
        "run_id": "",
        "device": ["cpu"],
    }
    file, params = client.infer("unet3d", "scan1", wishes)
    assert file.endswith(".nrrd")
    assert params["label_names"] == server.get("/info/").json()["models"]["unet3d"]["labels"]
    assert 0 <= params["uncertainty"] <= 1
    import SimpleITK

    label = SimpleITK.ReadImage(file)
    assert label.GetPixelID() == SimpleITK.sitkUInt16
    theirs = SimpleITK.ReadImage(str(server.studies / "scan1.nii.gz"))
    assert label.GetSize() == theirs.GetSize()
    assert np.allclose(label.GetDirection(), theirs.GetDirection(), atol=1e-5)
    asked = voxels(server.infer("unetpp", "a", result_extension=".nii.gz"), tmp_path)
    assert np.array_equal(np.squeeze(np.asarray(asked.dataobj)).T, pixels(server.infer("unetpp", "a")))


def test_an_image_is_added_and_segmented(server: Server, demo_data: Path):
    content = sorted((demo_data / "images").glob("*.jpg"))[7].read_bytes()
    added = server.put("/datastore/image?image=added", files={"file": ("x.JPG", content)})
    assert added.json() == {"image": "added"}
    assert pixels(server.infer("unetpp", "added")).shape == (80, 96)
    sent = server.post("/infer/unetpp?output=image", files={"file": ("y.jpg", content)})
    assert np.array_equal(pixels(sent.content), pixels(server.infer("unetpp", "added")))
    assert server.get("/datastore/image?image=added").content == content


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the client leaves sockets open
def test_a_session_holds_a_volume_that_a_user_loaded(server: Server, volume_weights: Path, tmp_path: Path):
    """As 3D Slicer does it: the volume goes into a session, is segmented there, and is not an image of the studies."""
    from monailabel.client.client import MONAILabelClient

    case = read_dataset(volume_weights / "data").cases("training")[3]
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="slicer")
    session = client.create_session(str(case["image"]))["session_id"]
    assert client.get_session(session)["name"] == session
    file, params = client.infer("unet3d", "3: T1 axial", {"result_extension": ".nii.gz"}, session_id=session)
    expected = predicted("unet3d", volume_weights / "weights", Path(case["image"]), tmp_path / "out")
    assert np.array_equal(np.asarray(nibabel.load(file).dataobj), np.asarray(nibabel.load(expected).dataobj))
    assert 0 <= params["uncertainty"] <= 1
    assert "3: T1 axial" not in client.datastore()["objects"]
    client.remove_session(session)
    assert server.get(f"/session/{session}").status_code == 404
    assert server.post(f"/infer/unet3d?image=scan0&session_id={session}").status_code == 404


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_cvats_detector_gets_polygons_of_the_mask(server: Server, tmp_path: Path):
    """CVAT's function sends a picture and ``output: json``, and draws ``contours``; the area inside them is the mask."""
    from monailabel.client.client import MONAILabelClient
    from PIL import ImageDraw

    client = MONAILabelClient(server.url, tmpdir=str(tmp_path))
    _, answered = client.infer("unetpp", "", {"output": "json"}, file=str(server.studies / "a.jpg"))
    mask = pixels(server.infer("unetpp", "a"))
    drawn = Image.new("1", (mask.shape[1] * 4, mask.shape[0] * 4))
    for answer in json.loads(answered)["annotations"]:
        for element in answer["annotation"]["elements"]:
            assert element["label"] == "lesion"
            for contour in element["contours"]:
                # pixel (x, y) covers 4x + 0 to 4x + 3: the far edges belong to the next pixel
                ImageDraw.Draw(drawn).polygon([(4 * x - 0.5, 4 * y - 0.5) for x, y in contour], fill=1)
    inside = np.asarray(drawn)[2::4, 2::4]
    filled = binary_fill_holes(mask > 0)
    assert filled.any()
    assert np.array_equal(inside, filled)


def test_a_model_that_is_corrected_by_clicks_is_beside_each_bundle(server: Server):
    models = server.get("/info/").json()["models"]
    for name in ("unetpp", "unet3d"):
        assert (models[name]["type"], models[f"{name}_clicks"]["type"]) == ("segmentation", "deepgrow")
        assert models[f"{name}_clicks"]["labels"] == models[name]["labels"]


@pytest.mark.parametrize("image", ["a", "turned"])
def test_a_photographs_mask_follows_the_clicks_and_fewer_undo(server: Server, image: str):
    """As OHIF and 3D Slicer send them: x, y, and z 0, all of them each time. Without clicks it is the network's mask."""
    before = pixels(server.infer("unetpp", image))
    assert np.array_equal(pixels(server.infer("unetpp_clicks", image, foreground=[], background=[])), before)
    (row, column), (other_row, other_column) = np.argwhere(before == 0)[0], np.argwhere(before == 1)[0]
    points = {"foreground": [[int(column), int(row), 0]], "background": [[int(other_column), int(other_row)]]}
    after = pixels(server.infer("unetpp_clicks", image, label="Segment_1", **points))
    assert (after[row, column], after[other_row, other_column]) == (1, 0)
    assert after.shape == before.shape
    one = pixels(server.infer("unetpp_clicks", image, foreground=points["foreground"]))
    assert (one[row, column], one[other_row, other_column]) == (1, 1)
    by_class = pixels(
        server.infer("unetpp_clicks", image, lesion=points["foreground"], background=points["background"])
    )
    assert np.array_equal(by_class, after)
    assert np.array_equal(pixels(server.infer("unetpp_clicks", image)), before)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the client leaves sockets open
def test_a_scan_is_corrected_by_clicks_in_its_own_indices(server: Server, volume_weights: Path, tmp_path: Path):
    """With MONAI Label's own client, which 3D Slicer uses; a class that is named by `label` comes back alone."""
    from monailabel.client.client import MONAILabelClient

    names = list(server.get("/info/").json()["models"]["unet3d"]["labels"])
    client = MONAILabelClient(server.url, tmpdir=str(tmp_path), client_id="slicer")
    wishes = {"result_extension": ".nii.gz", "background": [], "label": names[-1], "foreground": [[3, 17, 20]]}
    file, params = client.infer("unet3d_clicks", "scan0", wishes)
    found = nibabel.load(file)
    scan = nibabel.load(server.studies / "scan0.nii.gz")
    mask = np.asarray(found.dataobj)
    assert np.allclose(found.affine, scan.affine, atol=1e-4)
    assert mask.shape == scan.shape
    assert mask[3, 17, 20] == len(names)
    assert set(np.unique(mask)) <= {0, len(names)}
    assert (params["clicks"], params["flagged"], params["predicted_dice"]) == (1, None, {})


def test_the_second_click_does_not_wait_for_the_network(server: Server):
    """The log says when the network runs: once for two requests about an image."""
    server.infer("unetpp_clicks", "c", foreground=[[1, 1]])
    runs = server.log.read_text().count("Infer Request (final)")
    server.infer("unetpp_clicks", "c", foreground=[[1, 1], [5, 5]])
    assert server.log.read_text().count("Infer Request (final)") == runs


def test_two_requests_at_a_time_get_their_own_answers(server: Server):
    """Eight at once, of two images and two models; the server still answers `/info/` meanwhile."""
    asked = [("unetpp", "a"), ("unetpp", "c"), ("unet3d", "scan0"), ("unet3d", "scan1")] * 2
    alone = {pair: server.infer(*pair, result_extension=".nii.gz") for pair in asked[:4]}
    with ThreadPoolExecutor(8) as threads:
        answers = [threads.submit(server.infer, *pair, result_extension=".nii.gz") for pair in asked]
        assert server.get("/info/").status_code == 200
        together = [answer.result() for answer in answers]
    for pair, content in zip(asked, together, strict=True):
        assert gzip.decompress(content) == gzip.decompress(alone[pair]), pair


def test_of_two_uploads_under_one_name_one_is_kept(server: Server, demo_data: Path):
    contents = [file.read_bytes() for file in sorted((demo_data / "images").glob("*.jpg"))[8:14]]
    with ThreadPoolExecutor(6) as threads:
        sent = [
            threads.submit(server.put, "/datastore/image?image=raced", files={"file": ("x.jpg", content)})
            for content in contents
        ]
        codes = [answer.result().status_code for answer in sent]
    assert sorted(codes) == [200] + [409] * 5
    assert server.get("/datastore/image?image=raced").content == contents[codes.index(200)]
    assert requests.delete(f"{server.url}/datastore/image?id=raced", timeout=60).status_code == 200


def test_weights_go_out_and_come_back(server: Server):
    weights = server.get("/model/unetpp").content
    before = server.unsure("a")
    assert server.put("/model/unetpp", files={"file": ("model.pt", weights)}).status_code == 200
    assert server.unsure("a") == before
    kept = server.models / "unetpp" / "models" / "previous" / "1"
    assert (kept / "model.pt").read_bytes() == weights
    shutil.rmtree(kept)


TEXT = {"file": ("notes.png", b"no picture")}
BAD: dict[str, tuple[Callable[[Server], Any], int, str]] = {
    "unknown model": (lambda s: s.post("/infer/unetp?image=a"), 404, "did you mean 'unetpp'"),
    "no image named": (lambda s: s.post("/infer/unetpp"), 422, "Neither Image nor File"),
    "unknown image": (lambda s: s.post("/infer/unetpp?image=nobody"), 404, "no image 'nobody'"),
    "a file of the server": (lambda s: s.post("/infer/unetpp?image=/etc/hostname"), 404, "among the studies"),
    "text as image": (lambda s: s.post("/infer/unetpp", files=TEXT), 422, "not a picture"),
    "text added as image": (lambda s: s.put("/datastore/image", files=TEXT), 422, "not a picture"),
    "a scan for a model of photographs": (lambda s: s.post("/infer/unetpp?image=scan0"), 422, "scan0"),
    "a photograph for a model of scans": (lambda s: s.post("/infer/unet3d?image=a"), 422, "a.jpg"),
    "unknown type": (
        lambda s: s.post("/infer/unetpp?image=a", data={"params": '{"result_dtype": "apple"}'}),
        *(422, "apple"),
    ),
    "label of an unknown image": (
        lambda s: s.put("/datastore/label?image=nobody", files={"label": ("l.png", png(np.zeros((4, 4))))}),
        *(404, "no image 'nobody'"),
    ),
    "text as label": (
        lambda s: s.put("/datastore/label?image=a", files={"label": ("l.png", b"x")}),
        422,
        "not a picture",
    ),
    "a click outside": (
        lambda s: s.post("/infer/unetpp_clicks?image=a", data={"params": '{"foreground": [[96, 0]]}'}),
        *(422, "click at row 0, column 96: outside the image, which has 80 rows and 96 columns"),
    ),
    "clicks that contradict each other": (
        lambda s: s.post(
            "/infer/unetpp_clicks?image=a", data={"params": '{"foreground": [[3, 4]], "background": [[3, 4]]}'}
        ),
        *(422, "the opposite of the same pixel"),
    ),
    "a click on another slice of a photograph": (
        lambda s: s.post("/infer/unetpp_clicks?image=a", data={"params": '{"background": [[3, 4, 2]]}'}),
        *(422, "expected x, y of a photograph"),
    ),
    "a click that is no number": (
        lambda s: s.post("/infer/unetpp_clicks?image=a", data={"params": '{"lesion": [[3, "x"]]}'}),
        *(422, "params.by_class.lesion.0.1"),
    ),
    "a class that does not exist": (
        lambda s: s.post("/infer/unetpp_clicks?image=a", data={"params": '{"lesoin": [[3, 4]]}'}),
        *(422, "unknown key 'lesoin'"),
    ),
    "training a model of clicks": (lambda s: s.post("/train/unetpp_clicks", json={}), 404, "did you mean 'unetpp'"),
    "unknown strategy": (lambda s: s.post("/activelearning/best", json={}), 404, "no strategy 'best'"),
    "training an unknown model": (lambda s: s.post("/train/unetp", json={}), 404, "did you mean 'unetpp'"),
    "batch of an unknown model": (lambda s: s.post("/batch/infer/unetp", json={}), 404, "did you mean 'unetpp'"),
}


@pytest.mark.parametrize("what", BAD)
def test_a_wrong_request_is_answered_in_words_and_the_server_lives(server: Server, what: str):
    ask, status, words = BAD[what]
    answer = ask(server)
    assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert server.get("/info/").status_code == 200


def test_the_image_that_the_model_is_least_sure_of_comes_next(server: Server):
    unlabelled = [Path(name).stem for name in PHOTOGRAPHS] + ["added"]
    if "added" not in server.get("/datastore/?output=all").json()["objects"]:
        unlabelled.remove("added")
    unsure = {image: server.unsure(image) for image in unlabelled}
    chosen = server.post("/activelearning/uncertainty_unetpp", json={"client_id": "slicer"}).json()
    assert chosen["uncertainty"] == max(unsure.values()) == unsure[chosen["id"]]
    scan = server.post("/activelearning/uncertainty_unet3d", json={}).json()
    assert scan["id"] in ("scan0", "scan1")


def test_it_learns_from_saved_labels_and_keeps_what_it_knew(server: Server, photo_weights: Path, demo_data: Path):
    """Label, train, infer again, all in a batch: the weights change, the earlier ones are kept, labelled images are not offered."""
    masks = sorted((demo_data / "masks").glob("*.png"))
    for image, file in zip(("a", "B", "c"), masks, strict=False):
        label = (np.asarray(Image.open(file)) > 0).astype(np.uint8)
        saved = server.put(f"/datastore/label?image={image}&tag=final", files={"label": ("l.png", png(label))})
        assert saved.json() == {"image": image, "label": image}
        stored = pixels(server.get(f"/datastore/label?label={image}&tag=final").content)
        assert np.array_equal(stored, label)
    models = server.models / "unetpp" / "models"
    weights, before = (models / "model.pt").read_bytes(), server.unsure("d")
    server.post("/train/unetpp", json={"max_epochs": 3, "run_id": "", "lr": 0.01, "device": "cpu"})
    state = server.finished("/train/")
    assert state["status"] == "DONE", "\n".join(state["details"])
    assert (models / "model.pt").read_bytes() != weights
    assert (models / "previous" / "1" / "model.pt").read_bytes() == weights
    assert (photo_weights / "model.pt").read_bytes() == weights, "the bundle's own weights stay as they were"
    assert server.unsure("d") != before, "the next answer is that of the new weights"
    server.post(
        "/batch/infer/unetpp?images=unlabeled", json={"device": "cpu", "multi_gpu": True, "label_tag": "original"}
    )
    assert server.finished("/batch/infer")["status"] == "DONE"
    known = server.get("/datastore/?output=all").json()["objects"]
    assert "original" in known["d"]["labels"]
    assert "original" not in known["scan0"]["labels"], "a scan is left out of a batch of photographs, which goes on"
    assert np.array_equal(
        pixels(server.get("/datastore/label?label=d&tag=original").content), pixels(server.infer("unetpp", "d"))
    )
    assert server.post("/activelearning/uncertainty_unetpp", json={}).json()["id"] not in ("a", "B", "c")


def test_it_learns_from_a_labelled_scan(server: Server, volume_weights: Path):
    case = read_dataset(volume_weights / "data").cases("training")[0]
    label = Path(case["label"] if isinstance(case["label"], str) else case["label"][0]).read_bytes()
    server.put("/datastore/label?image=scan0&tag=final", files={"label": ("l.nii.gz", label)})
    weights = (server.models / "unet3d" / "models" / "model.pt").read_bytes()
    server.post("/train/unet3d", json={"max_epochs": 1, "run_id": "", "batch_size": 1})
    state = server.finished("/train/")
    assert state["status"] == "DONE", "\n".join(state["details"])
    assert (server.models / "unet3d" / "models" / "model.pt").read_bytes() != weights
    assert server.infer("unet3d", "scan1")


def test_training_without_labels_says_so_and_changes_nothing(server: Server, tmp_path: Path):
    for image in ("scan0", "scan1"):
        requests.delete(f"{server.url}/datastore/label?id={image}&tag=final", timeout=60)
    time.sleep(2)  # the server watches the folder
    weights = (server.models / "unet3d" / "models" / "model.pt").read_bytes()
    server.post("/train/unet3d", json={"max_epochs": 1})
    state = server.finished("/train/")
    assert state["status"] == "ERROR"
    assert "no label to train on" in "\n".join(state["details"])
    assert (server.models / "unet3d" / "models" / "model.pt").read_bytes() == weights
