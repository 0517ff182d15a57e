"""What clients may send: every field of every request, with its type and its range.

Fields of MONAI Label's clients that have no meaning here (``client_id``, an empty ``run_id``) are accepted and ignored.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from monailabel.config import settings
from monailabel.utils.others.generic import name_to_device
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from medseg_monai.bundle.workflow import check_device
from medseg_monai.label.names import check_name


def _first(value: Any) -> Any:
    """The first of a list of choices, which clients send back unchanged."""
    return value[0] if isinstance(value, list) and value else value


def _device(name: str) -> str:
    device = str(name_to_device(name))
    if not device.startswith(("cpu", "cuda")) or "," in device:
        raise ValueError("unknown device: use cpu, cuda, cuda:1 … or a name shown by /info/")
    check_device(device)
    return device


def _tag(name: str) -> str:
    return check_name(name, "tag")


def _image(name: str) -> str:
    return check_name(name, "image")


Device = Annotated[str, BeforeValidator(_first), Field(max_length=100), AfterValidator(_device)]
Tag = Annotated[str, AfterValidator(_tag)]
ImageName = Annotated[str, AfterValidator(_image)]
ModelFile = Annotated[str, BeforeValidator(_first), Field(pattern=r"^model\.pt$")]
Gpus = Annotated[str, Field(pattern=r"^(all|\d{1,2}(,\d{1,2}){0,15})?$")]
Client = Annotated[str, Field(max_length=200)] | None
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", "debug", "info", "warning", "error", "critical"]
NumberType = Literal["uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"]
Point = Annotated[list[float], Field(min_length=2, max_length=4)]
Points = Annotated[list[Point], Field(max_length=10_000)]


class Fields(BaseModel):
    """A request's fields: any other field is refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, protected_namespaces=())

    def said(self, *left_aside: str) -> dict[str, Any]:
        """The fields that were sent, without those that mean nothing to the task."""
        return self.model_dump(exclude_unset=True, exclude={"client_id", *left_aside})


class Segment(BaseModel):
    """A class in an annotator's list of segments; other fields of the tool (colours …) are kept."""

    model_config = ConfigDict(extra="allow")
    name: str = Field(max_length=200)


class LabelParams(BaseModel):
    """Information stored with a label: `label_info` is the meaning of its numbers, the rest is the client's own."""

    model_config = ConfigDict(extra="allow")
    label_info: list[Segment] = Field(default=[], max_length=1000)


class InferParams(Fields):
    """``params`` of ``/infer``."""

    client_id: Client = None
    run_id: str = Field("", max_length=100)
    device: Device = ""
    model_filename: ModelFile = "model.pt"
    result_extension: str = Field("", pattern=r"^(\.[A-Za-z0-9]{1,12}){0,4}$")
    result_dtype: NumberType | None = None
    result_compress: bool = False
    output: Literal["", "json", "image", "mask", "all"] = ""
    save_label: bool = False
    label_tag: Tag = "original"
    label_info: list[dict[str, Any]] | None = Field(None, max_length=1000)
    logging: Level = "INFO"
    timeout: float = Field(600, ge=0, le=86_400)
    # clicks for interactive models, which clients send empty to others
    foreground: Points = []
    background: Points = []


class ClickParams(InferParams):
    """The same for an interactive model."""

    label: str = Field("", max_length=200)
    by_class: dict[str, Points] = {}


class BatchParams(Fields):
    """Of ``/batch/infer``."""

    client_id: Client = None
    run_id: str = Field("", max_length=100)
    device: Device = ""
    model_filename: ModelFile = "model.pt"
    images: list[ImageName] | Literal["all", "labeled", "unlabeled"] = "all"
    label_tag: Tag = "original"
    labels: list[str] | None = Field(None, max_length=1000)
    save_label: bool = True
    result_extension: str = Field("", pattern=r"^(\.[A-Za-z0-9]{1,12}){0,4}$")
    result_dtype: NumberType | None = None
    result_compress: bool = False
    multi_gpu: bool = True
    gpus: Gpus = "all"
    logging: Level = "WARNING"
    max_workers: int = Field(0, ge=0, le=64)
    max_batch_size: int = Field(0, ge=0, le=1_000_000)


def _tracking(name: str) -> str:
    if name.lower() not in ("", "none") and not (name == "mlflow" and settings.MONAI_LABEL_TRACKING_ENABLED):
        raise ValueError(
            "tracking must be 'None' (or 'mlflow', if the server was started with MONAI_LABEL_TRACKING_ENABLED)"
        )
    return name


def _tracking_uri(address: str) -> str:
    if address and address != settings.MONAI_LABEL_TRACKING_URI:
        raise ValueError("the tracking URI is set when the server is started, by MONAI_LABEL_TRACKING_URI")
    return address


RunName = Annotated[str, Field(pattern=r"^[\w .:-]{0,100}$")]


class TrainParams(Fields):
    """Of ``/train``."""

    client_id: Client = None
    name: str = Field("", max_length=200)
    run_id: Literal["", "run", "training"] = ""
    device: Device = ""
    model_filename: ModelFile = "model.pt"
    pretrained: bool = True
    max_epochs: int = Field(20, ge=1, le=10_000)
    lr: float = Field(0.0005, gt=0, le=1)
    batch_size: int = Field(4, ge=1, le=1024)
    val_split: float = Field(0.2, ge=0, le=0.9)
    multi_gpu: bool = True
    gpus: Gpus = "all"
    tracking: Annotated[str, BeforeValidator(_first), Field(max_length=20), AfterValidator(_tracking)] = "None"
    tracking_uri: Annotated[str, Field(max_length=500), AfterValidator(_tracking_uri)] = ""
    tracking_experiment_name: RunName = ""
    tracking_run_name: RunName = ""


class NextParams(Fields):
    """Of ``/activelearning``."""

    client_id: Client = None
    max_samples: int | None = Field(None, ge=1, le=100_000)
    label_tag: Tag | None = None
    labels: list[str] | None = Field(None, max_length=1000)


class ScoringParams(Fields):
    """Of ``/scoring``."""

    client_id: Client = None
    max_samples: int | None = Field(None, ge=1, le=100_000)


class WholeSlide(Fields):
    """Fields of ``/infer/wsi``: a region of a picture, in pixels; without a size the whole picture."""

    client_id: Client = None
    level: int = Field(0, ge=0, le=0)
    location: list[Annotated[int, Field(ge=0, le=1_000_000)]] = Field([0, 0], min_length=2, max_length=2)
    size: list[Annotated[int, Field(ge=0, le=1_000_000)]] = Field([0, 0], min_length=2, max_length=2)
    tile_size: list[Annotated[int, Field(ge=1, le=1_000_000)]] = Field([1024, 1024], min_length=2, max_length=2)
    min_poly_area: int = Field(30, ge=0, le=1_000_000_000)
    params: dict[str, Any] = {}
