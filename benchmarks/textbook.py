"""PixelCNN as tutorials train it: square kernels times a mask, images one at a time through a Dataset, float32.

It is written on its own, from the paper, and shares nothing with the package but the images and the names of sizes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle
from typing import Any, Self

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from pixelcnn_lit.config import PixelCNNConfig, TrainConfig
from pixelcnn_lit.errors import UserError


class MaskedConv2d(nn.Conv2d):
    """A square convolution whose weights are multiplied by a mask at each call."""

    mask: Tensor

    def __init__(self, kind: str, in_channels: int, out_channels: int, kernel_size: int) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2)
        mask = torch.ones_like(self.weight)
        centre = kernel_size // 2
        mask[:, :, centre, centre + (kind == "B") :] = 0
        mask[:, :, centre + 1 :] = 0
        self.register_buffer("mask", mask)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class ResidualBlock(nn.Module):
    """Figure 5 of van den Oord et al. (2016), arXiv 1601.06759."""

    def __init__(self, hidden: int, kernel_size: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            MaskedConv2d("B", 2 * hidden, hidden, 1),
            nn.ReLU(),
            MaskedConv2d("B", hidden, hidden, kernel_size),
            nn.ReLU(),
            MaskedConv2d("B", hidden, 2 * hidden, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class TextbookPixelCNN(nn.Sequential):
    """Grey images in [0, 1], (N, 1, H, W) -> logits (N, levels, H, W)."""

    def __init__(self, levels: int, n_res: int, hidden: int, kernel_size: int, first_kernel_size: int) -> None:
        super().__init__(
            MaskedConv2d("A", 1, 2 * hidden, first_kernel_size),
            *[ResidualBlock(hidden, kernel_size) for _ in range(n_res)],
            nn.ReLU(),
            MaskedConv2d("B", 2 * hidden, 2 * hidden, 1),
            nn.ReLU(),
            MaskedConv2d("B", 2 * hidden, levels, 1),
        )

    def convolutions(self) -> Iterator[MaskedConv2d]:
        """In the order in which an image passes them."""
        return (module for module in self.modules() if isinstance(module, MaskedConv2d))


class TextbookDigits(Dataset[tuple[Tensor, Tensor]]):
    """What ``torchvision.datasets.MNIST`` with ``ToTensor`` and a quantising transform does for each image."""

    def __init__(self, pixels: Tensor, levels: int) -> None:
        """Intensities (N, H, W) uint8."""
        self.pixels, self.levels = pixels, levels
        self.transform = transforms.Compose([transforms.ToTensor(), self.quantise])

    def quantise(self, x: Tensor) -> Tensor:
        """[0, 1] to levels."""
        return (x * self.levels).floor().clamp(max=self.levels - 1).long()

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        target: Tensor = self.transform(Image.fromarray(self.pixels[index].numpy()))
        return target.float() / (self.levels - 1), target[0]


def check(config: TrainConfig) -> None:
    """Raise UserError for a config of what the textbook does not have."""
    model, data = config.model, config.data
    plain = isinstance(model, PixelCNNConfig) and model.orders == 1 and not model.n_classes
    of_levels = config.likelihood.name == "categorical" and config.context.name == "none"
    if not (plain and of_levels and data.image_shape[0] == 1) or data.binarize or data.holds_levels:
        raise UserError(
            "the textbook's network is model=pixelcnn with likelihood=categorical, of grey images without classes, "
            "context or binarisation"
        )


class Textbook:
    """The network, its optimiser and its loop."""

    @classmethod
    def of(cls, config: TrainConfig, pixels: Tensor, device: str) -> Self:
        """That of the sizes, levels and batches of a config, for training images (N, H, W) uint8.

        Raises UserError for a config of what the textbook does not have.
        """
        check(config)
        model, data = config.model, config.data
        assert isinstance(model, PixelCNNConfig)
        network = TextbookPixelCNN(data.levels, model.n_res, model.hidden, model.kernel_size, model.first_kernel_size)
        return cls(network, TextbookDigits(pixels, data.levels), data.batch_size, device)

    def __init__(self, network: TextbookPixelCNN, digits: TextbookDigits, batch_size: int, device: str) -> None:
        self.network, self.digits, self.batch_size, self.device = network.to(device), digits, batch_size, device
        self.optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        self.schedule = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, 0.999995)

    def batches(self, order: Sequence[int] | None = None) -> DataLoader[Any]:
        """Shuffled, or in a given order."""
        return DataLoader(self.digits, self.batch_size, shuffle=order is None, sampler=order)

    def step(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        """One step; its loss in nats a pixel."""
        x, target = (tensor.to(self.device) for tensor in batch)
        self.optimizer.zero_grad()
        loss = F.cross_entropy(self.network(x), target)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        return loss.detach()


def repeated(loader: Iterable[Any]) -> Iterator[Any]:
    """The batches of epoch after epoch."""
    return (batch for epoch in cycle([loader]) for batch in epoch)
