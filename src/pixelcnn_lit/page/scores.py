"""What images cost: completions, and a picture beside the test images of a model."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pixelcnn_lit.config import OtherData, compose
from pixelcnn_lit.data.download import without_downloads
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.page.models import Model

AT_ONCE = 1 << 22
"""So many logits are held at a time."""
DIGITS = (1, 28, 28)


@dataclass(frozen=True)
class Reference:
    """The bits/dim (N,) of test images under a model, their levels (N, C, H, W), and a text that says which."""

    bits_per_dim: Tensor
    images: Tensor
    what: str

    @property
    def mean(self) -> float:
        """Their mean bits/dim."""
        return float(self.bits_per_dim.double().mean())

    def place(self, bits_per_dim: float) -> str:
        """Where a picture stands among them, in a sentence."""
        n = len(self.bits_per_dim)
        as_many = int((self.bits_per_dim >= bits_per_dim).sum())
        return f"{as_many} of these {n} images cost as many bits or more, {n - as_many} cost fewer"


@torch.inference_mode()
def bits(density: Density, x: Tensor) -> Tensor:
    """The bits of each pixel, ``-log2 p(pixel | those before it)``: levels (N, C, H, W) -> (N, H, W).

    Their sum over an image is ``-log2 p(x)``. Raises UserError if it is not finite.
    """
    few = max(1, AT_ONCE // (math.prod(x.shape[1:]) * density.levels))
    nats = torch.cat([density.nats(part).sum(1).cpu() for part in x.split(few)])
    if not nats.isfinite().all():
        raise UserError("log p(x) is not finite: the weights of this model have gone wrong")
    return nats / math.log(2)


@torch.inference_mode()
def costs(density: Density, x: Tensor, known: Tensor) -> list[str]:
    """A caption for each completion, levels (N, C, H, W), of an image whose ``known`` pixels (H, W) were given.

    It tells the bits of the drawn pixels, as they are drawn, and those of the whole image.
    """
    drawn = density.completion_log_prob(x, known).tolist()
    totals = density.log_prob(x).tolist()
    return [
        f"{-part / math.log(2):.0f} bits drawn, {-total / math.log(2):.0f} in all"
        for part, total in zip(drawn, totals, strict=True)
    ]


class References:
    """The test images of each model, scored once, when they are first asked for."""

    def __init__(self, data: OtherData, n: int) -> None:
        self._data, self._n = data, n
        self._found: dict[str, Reference] = {}

    def of(self, model: Model) -> Reference:
        """As :func:`reference`."""
        if model.name not in self._found:
            self._found[model.name] = reference(model, self._data, self._n)
        return self._found[model.name]


def reference(model: Model, data: OtherData, n: int) -> Reference:
    """The first n test images of the model's run, or of other ``data``, scored. Nothing is downloaded.

    Where the images of the run are not at hand, they are the digits that come with the package, and the text says so.
    Raises UserError if these do not fit the model, or ``data`` cannot be read.
    """
    images, what = _test_images(model, data)
    few = images[:n]
    count = f"{len(few)}" if len(few) == len(images) else f"the first {len(few)} of {len(images):,}"
    per_dim = bits(model.density, few).flatten(1).sum(1) / math.prod(few.shape[1:])
    return Reference(per_dim, few, f"{count} {what}")


def _test_images(model: Model, data: OtherData) -> tuple[Tensor, str]:
    wish = data.instead_of(model.trained.data, n_classes=0)
    if getattr(wish, "source", None) == "auto":  # which would take other digits in place of files, in silence
        wish = wish.model_copy(update={"source": "torchvision"})
    try:
        with without_downloads():
            found = ImageData(wish, model.trained.seed)
            images = found.split("test").images
    except UserError:
        if data.name is not None or wish.name != "mnist" or wish.image_shape != DIGITS:
            raise
        told = [f"data.levels={wish.levels}", f"data.binarize={wish.binarize or 'null'}"]
        digits = ImageData(compose(["data=digits", *told]).data, 0)
        return digits.split("test").images, (
            "digits that come with the package, since MNIST's test images are not on this disk; they are some of "
            "MNIST's training images, so this model may have seen them"
        )
    return images, f"test images of {wish.name} ({found.source})"
