"""Where the boxes of each bundle's figure stand, as in the figure of its paper; what they say comes from the network itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import nn

from architectures.diagrams import STRAIGHT, UP_THEN_ACROSS, Arrow, Box, Diagram
from architectures.facts import SIDE, VOLUME_SIDE, Stages, as_label


def image(at: tuple[float, float]) -> Box:
    """The network's input."""
    return Box(f"image\n{as_label((3, SIDE, SIDE))}", at, "image", (0.75, 0.46))


def head(s: Stages, at: tuple[float, float], name: str = "head") -> Box:
    """A 1x1 convolution to one channel per class."""
    return Box(f"1×1 conv\n{s.label(name)}", at, "head", (0.8, 0.46))


def unet(s: Stages, *, title: str = "U-Net", kernel: str = "3×3", picture: Box | None = None) -> Diagram:
    """The U of Ronneberger et al., Fig. 1."""
    d = Diagram(
        title,
        (10, 5.0),
        {"encoder": f"two {kernel} convolutions", "decoder": f"concatenation, two {kernel} convolutions"},
        {"down": "max pooling by 2", "up": "transposed convolution by 2", "skip": "skip connection"},
    )
    last = len(s.network.encoder.stages) - 1
    down = [f"encoder.stages.{level}" for level in range(last + 1)]
    up = [f"decoder.{index}" for index in range(last)]
    for level, name in enumerate(down):
        at = (5.0 - 0.82 * (last - level), 4.25 - 0.8 * level)
        d.boxes[name] = Box(s.label(name), at, "encoder")
    for index, name in enumerate(up):
        level = last - 1 - index
        came = s.taken_channels(f"{name}.convs")
        at = (5.0 + 0.82 * (last - level), 4.25 - 0.8 * level)
        d.boxes[name] = Box(f"concat {came}\n{s.label(name)}", at, "decoder")
        d.arrows.append(Arrow(down[level], name, "skip"))
    d.boxes |= {"image": picture or image((0.5, 4.25)), "head": head(s, (9.5, 4.25))}
    d.chain(*down, kind="down")
    d.chain(down[-1], *up, kind="up")
    d.chain("image", down[0])
    d.chain(up[-1], "head")
    return d


def unet3d(s: Stages) -> Diagram:
    """The same in three dimensions: Çiçek et al., Fig. 2."""
    volume = Box(f"patch\n{as_label((1, *(VOLUME_SIDE,) * 3))}", (0.5, 4.25), "image", (0.75, 0.46))
    d = unet(s, title="3D U-Net", kernel="3×3×3", picture=volume)
    d.boxes["head"] = Box(d.boxes["head"].text.replace("1×1", "1×1×1"), (9.45, 4.25), "head", (1.0, 0.46))
    return d


def unetpp(s: Stages) -> Diagram:
    """The nested triangle of Zhou et al., Fig. 1a."""
    d = Diagram(
        "U-Net++",
        (10, 5.95),
        {"encoder": "two 3×3 convolutions", "decoder": "concatenation, two 3×3 convolutions"},
        {"down": "max pooling by 2", "up": "upsampling by 2", "skip": "dense skip connections"},
    )
    depth = len(s.network.encoder.stages) - 1
    modules = {(row, 0): f"encoder.stages.{row}" for row in range(depth + 1)}
    modules |= {(row, column): f"nodes.x_{row}_{column}" for row, column in s.network.places}
    for (row, column), name in modules.items():
        at = (0.9 + 1.02 * (row + 2 * column), 4.15 - 0.8 * row)
        text = f"$X^{{{row},{column}}}$\n{s.label(name)}"
        d.boxes[name] = Box(text, at, "decoder" if column else "encoder", (0.9, 0.48))
        for left in range(column):
            d.arrows.append(Arrow(modules[row, left], name, "skip", arc_over(column - left)))
        if column:
            d.arrows.append(Arrow(modules[row + 1, column - 1], name, "up"))
    d.chain(*(modules[row, 0] for row in range(depth + 1)), kind="down")
    for column in s.network.headed:
        name, node = f"heads.x_0_{column}", modules[0, column]
        d.boxes[name] = head(s, (d.boxes[node].at[0], 5.15), name)
        d.chain(node, name)
    d.boxes["image"] = image((0.9, 5.15))
    d.chain("image", modules[0, 0])
    d.notes = {
        (6.8, 1.35): "training: a loss on each head\nafterwards: the mean of the heads,\nor one head alone (fast mode)"
    }
    return d


def arc_over(columns: int) -> str:
    """A connection to the node so many columns further, over those between, higher the further it goes."""
    height, distance = 0.36 + 0.1 * (columns - 2), 2.04 * columns
    return STRAIGHT if columns == 1 else f"arc3,rad={-2 * height / distance}"


def pspnet(s: Stages) -> Diagram:
    """Backbone, pyramid pooling, fusion: Zhao et al., Fig. 3."""
    d = Diagram(
        "PSPNet",
        (10, 4.6),
        {"encoder": "backbone: 3×3 convolutions of stride 2", "context": "pyramid pooling"},
        {"flow": "data flow", "up": "bilinear upsampling", "skip": "unpooled features"},
    )
    backbone = [f"encoder.stages.{level}" for level in range(len(s.network.encoder.stages))]
    bins = s.network.pooling.bins
    branches = [f"pooling.branches.{index}" for index in range(len(bins))]
    d.boxes = {"image": image((0.5, 2.5))}
    d.boxes |= {name: Box(s.label(name), (1.6 + 1.15 * i, 2.5), "encoder") for i, name in enumerate(backbone)}
    for index, name in enumerate(branches):
        text = f"{bins[index]}×{bins[index]} bins, 1×1 conv\n{s.label(name)}"
        d.boxes[name] = Box(text, (4.75, 3.25 - 0.65 * index), "context", (1.7, 0.48))
        d.arrows.append(Arrow(backbone[-1], name, enter=(-0.85, 0)))
        d.arrows.append(Arrow(name, "cat", "up", enter=(0, 0.75 - 0.65 * index)))
    whole = s.channels(backbone[-1]) + sum(s.channels(name) for name in branches)
    share = s.label(backbone[-1]).split("@")[1]
    kernel = s.network.fusion.own.kernel_size[0]
    d.boxes |= {
        "cat": Box(f"concat\n{whole} @{share}", (6.75, 2.5), "context", (0.95, 3.3)),
        "fusion": Box(f"{kernel}×{kernel} conv\n{s.label('fusion')}", (8.0, 2.5), "decoder"),
        "head": head(s, (9.25, 2.5)),
        "logits": Box(f"logits\n{as_label((1, SIDE, SIDE))}", (9.25, 1.4), "head", (0.8, 0.46)),
        "auxiliary_head": Box(
            f"auxiliary head,\nin training\n{s.label('auxiliary_head')}", (1.6, 1.2), "head", (1.2, 0.66)
        ),
    }
    d.chain("image", *backbone)
    d.chain("cat", "fusion", "head")
    d.chain("head", "logits", kind="up")
    d.chain(backbone[-2], "auxiliary_head")
    d.arrows.append(Arrow(backbone[-1], "cat", "skip", UP_THEN_ACROSS, enter=(0, 1.4)))
    return d


def deeplabv3plus(s: Stages) -> Diagram:
    """Encoder with the atrous pyramid above, decoder below: Chen et al., Fig. 2."""
    d = Diagram(
        "DeepLabV3+",
        (10, 5.15),
        {
            "encoder": "backbone: two 3×3 convolutions",
            "context": "atrous spatial pyramid pooling",
            "decoder": "decoder",
        },
        {"flow": "data flow", "up": "bilinear upsampling by 4", "skip": "skip connection"},
    )
    backbone = [f"encoder.stages.{level}" for level in range(len(s.network.encoder.stages))]
    fine = backbone[s.network.fine]
    branches = [f"bottleneck.branches.{index}" for index in range(len(s.network.bottleneck.branches))]
    top, bottom = 3.35, 1.1
    d.boxes = {"image": image((0.47, top))}
    for level, name in enumerate(backbone):
        d.boxes[name] = Box(s.label(name), (1.44 + 1.02 * level, top), "encoder", (0.86, 0.46))
    for index, name in enumerate(branches):
        height = 0.56 * (len(branches) // 2 - index)
        text = f"{atrous_text(s.network.bottleneck.branches[index])}\n{s.label(name)}"
        d.boxes[name] = Box(text, (6.3, top + height), "context", (1.75, 0.46))
        d.arrows.append(Arrow(backbone[-1], name, enter=(-0.87, 0)))
        d.arrows.append(Arrow(name, "bottleneck", enter=(0, height)))
    skip_at = d.boxes[fine].at[0]
    d.boxes |= {
        "bottleneck": Box(
            f"concat {s.taken_channels('bottleneck.project')}\n1×1 conv\n{s.label('bottleneck')}",
            (8.15, top),
            "context",
            (1.1, 2.7),
        ),
        "skip": Box(f"1×1 conv\n{s.label('skip')}", (skip_at, bottom), "skip"),
        "last_stage": Box(
            f"concat {s.taken_channels('last_stage')}\ntwice 3×3 separable\n{s.label('last_stage')}",
            (8.15, bottom),
            "decoder",
            (1.46, 0.66),
        ),
        "head": head(s, (9.45, bottom)),
        "logits": Box(f"logits\n{as_label((1, SIDE, SIDE))}", (9.45, 2.1), "head", (0.8, 0.46)),
    }
    d.chain("image", *backbone)
    d.chain(fine, "skip", "last_stage", kind="skip")
    d.chain("bottleneck", "last_stage", kind="up")
    d.chain("last_stage", "head")
    d.chain("head", "logits", kind="up")
    return d


def atrous_text(branch: nn.Module) -> str:
    """What a branch of the pyramid does, by its first convolution."""
    convolution = next(module for module in branch.modules() if isinstance(module, nn.Conv2d))
    if convolution.kernel_size[0] > 1:
        return f"3×3 separable, rate {convolution.dilation[0]}"
    return "image mean, 1×1 conv" if type(branch).__name__ == "ImagePooling" else "1×1 conv"


def resunetpp(s: Stages) -> Diagram:
    """Residual units down, atrous bridge, attention and residual units up: Jha et al., Fig. 2."""
    d = Diagram(
        "ResUNet++",
        (10, 4.6),
        {
            "encoder": "residual unit (SE: squeeze-and-excitation)",
            "context": "ASPP: atrous convolutions, summed",
            "attention": "attention",
            "decoder": "concatenation, residual unit",
        },
        {"flow": "data flow", "up": "nearest upsampling", "skip": "skip connection", "gate": "guides attention"},
    )
    down = [f"encoder.{level}" for level in range(len(s.network.encoder))]
    last = len(down) - 1
    narrow, heights = (0.86, 0.48), [3.85 - 0.85 * level for level in range(last + 1)]
    for level, name in enumerate(down):
        what = "residual, SE" if isinstance(s.network.encoder[level], nn.Sequential) else "residual"
        d.boxes[name] = Box(f"{what}\n{s.label(name)}", (1.6 + 0.3 * level, heights[level]), "encoder", narrow)
    before = "bottleneck"
    for index in range(last):
        level, weigh, unit = last - 1 - index, f"decoder.{index}.attention", f"decoder.{index}.unit"
        across = 4.9 + 1.3 * index
        came = s.taken_channels(unit)
        d.boxes[weigh] = Box(f"attention\n{s.label(weigh)}", (across - 0.25, heights[level + 1]), "attention", narrow)
        d.boxes[unit] = Box(f"concat {came}\n{s.label(unit)}", (across, heights[level]), "decoder", narrow)
        d.chain(before, weigh)
        d.chain(weigh, unit, kind="up")
        d.chain(down[level], unit, kind="skip")
        start = across - 0.58  # beside the skip connection's end
        leave = (start - d.boxes[down[level]].at[0], 0)
        d.arrows.append(Arrow(down[level], weigh, "gate", leave=leave, enter=(-0.33, 0)))
        before = unit
    d.boxes |= {
        "image": image((0.55, heights[0])),
        "bottleneck": Box(f"ASPP\n{s.label('bottleneck')}", (3.6, heights[last]), "context", narrow),
        "last_stage": Box(f"ASPP\n{s.label('last_stage')}", (8.52, heights[0]), "context", narrow),
        "head": head(s, (9.52, heights[0])),
    }
    d.chain("image", *down, "bottleneck")
    d.chain(before, "last_stage", "head")
    return d


LAYOUTS: Mapping[str, Callable[[Stages], Diagram]] = {
    "deeplabv3plus": deeplabv3plus,
    "pspnet": pspnet,
    "resunetpp": resunetpp,
    "unet": unet,
    "unet3d": unet3d,
    "unetpp": unetpp,
}
