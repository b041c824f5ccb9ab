"""PixelCNN as tutorials train it: square kernels times a mask, images one at a time through a Dataset, float32.

It is written on its own, from the paper, and shares nothing with the package but the images.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms


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


class Textbook:
    """The network, its optimiser and its loop."""

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
