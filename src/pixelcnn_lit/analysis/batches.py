"""Going through the images of a split with a density, which every score of it does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.progress import tracked


@contextmanager
def batches_of(data: ImageData, split: str, device: torch.device, what: str = "") -> Iterator[Iterator[list[Tensor]]]:
    """The batches of "train", "val" or "test" on a device, in inference mode and with their progress.

    Each is ``[x, y]``, or ``[x, y, context]`` where there is one. The progress is that of "SPLIT images" + ``what``.
    """
    total = len(data.split(split))
    with (
        torch.inference_mode(),
        tracked(data.loader(split), f"{split} images{what}", total, size=lambda batch: len(batch[0])) as batches,
    ):
        yield ([part.to(device) for part in batch] for batch in batches)
