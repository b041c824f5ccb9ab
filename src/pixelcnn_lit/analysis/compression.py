"""The commands ``compress`` and ``decompress``: images as a file of the size that their likelihood says, and back."""

from __future__ import annotations

import hashlib
import json
import math
import time
import zlib
from pathlib import Path

import numpy as np
import torch
from rich import get_console
from rich.markup import escape
from rich.progress import track
from rich.table import Table
from torch import Tensor

import pixelcnn_lit
from pixelcnn_lit.analysis.codec import (
    CORRECTION,
    DRIFT,
    STEP,
    Block,
    WrongDataError,
    decode,
    encode,
    found_drift,
    in_double,
    labels_of,
)
from pixelcnn_lit.any_order import AnyOrder
from pixelcnn_lit.config import CompressConfig, DecompressConfig, TrainConfig
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.density import Density
from pixelcnn_lit.device import enough_memory, pick_device
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import say
from pixelcnn_lit.storage import pxl
from pixelcnn_lit.storage.checkpoint import load_with_config
from pixelcnn_lit.storage.files import check_file, write_whole

FORMAT = 1
PRECISION = f"float64, 1/{STEP} nat"


def compress(config: CompressConfig) -> None:
    """Write the images of a split as a .pxl file, and show its size beside what the likelihood says.

    Raises UserError if the checkpoint or the data cannot be read, or the model cannot code them.
    """
    if not config.out.endswith(".pxl"):
        raise UserError(f"out={config.out}: must end in .pxl")
    density, trained = loaded(config.ckpt)
    data = ImageDataModule(config.data.instead_of(trained.data, n_classes=0), trained.seed)
    x = data.split(config.split).images[: config.n]
    start, device = time.perf_counter(), pick_device(config.device)
    coder = in_double(density).to(device)
    check_drift(config, coder, x)
    headers, contents = [], []
    nats = torch.zeros((), dtype=torch.double)
    console = get_console()
    with enough_memory(f"batch_size={config.batch_size}, block={config.block}"):
        parts = x.split(config.block)
        for part in track(parts, "blocks", console=console, transient=True, disable=not console.is_terminal):
            block, log_prob = encode(coder, part.to(device), config.batch_size)
            if log_prob.isnan().any():
                raise UserError(f"ckpt={config.ckpt}: its logits are NaN: its weights have gone wrong")
            nats -= log_prob.sum().cpu()
            headers.append(described(block, part))
            contents.append(block.corrections.tobytes() + block.payload)
    header = pxl.Header(
        format=FORMAT,
        version=pixelcnn_lit.__version__,
        network=trained.model.name,
        model=digest(density, trained),
        precision=PRECISION,
        levels=density.levels,
        shape=(x.shape[1], x.shape[2], x.shape[3]),
        blocks=headers,
    )
    size = pxl.write(config.out, header, contents)
    report(config, x, size, float(nats), labels_of(coder), time.perf_counter() - start)


def check_drift(config: CompressConfig, coder: Density, x: Tensor) -> None:
    """Raise UserError for a network with which a file could be written but perhaps not read."""
    drift = found_drift(coder, x.to(coder.device))
    if drift > DRIFT:
        raise UserError(
            f"ckpt={config.ckpt}: in float64 its conditionals differ by {drift:.1e} nats between whole images and a "
            f"pixel at a time, and no file could be read that was written by more than {DRIFT:.1e}; does a part of the "
            "network compute in float32?"
        )


def described(block: Block, levels: Tensor) -> pxl.BlockHeader:
    """The entry of a block in the header."""
    corrections = block.corrections.tobytes()
    return pxl.BlockHeader(
        images=len(levels),
        corrections=len(corrections),
        payload=len(block.payload),
        crc=zlib.crc32(corrections + block.payload),
        crc_of_levels=zlib.crc32(levels.contiguous().numpy().tobytes()),
    )


def loaded(path: str) -> tuple[Density, TrainConfig]:
    """The density of a checkpoint. Raise UserError if it is one that cannot code images."""
    density, trained = load_with_config(path)
    if density.context_shape is not None:
        raise UserError(f"ckpt={path}: has context={trained.context.name}, which a compressed file does not hold")
    if density.levels > 256:
        raise UserError(f"ckpt={path}: has {density.levels} levels; images of at most 256 are compressed")
    return coded_in(density), trained


def coded_in(density: Density) -> Density:
    """The density that codes: of one that takes any order, the one in raster order, which a line says."""
    if not isinstance(density, AnyOrder):
        return density
    say("coded in one order of pixels, the raster; the model's bits/dim are of this order, not of its mixture of scans")
    return density.raster()


def digest(density: Density, trained: TrainConfig) -> str:
    """The first half of the SHA-256 of what probabilities depend on: the network, its weights, and the likelihood."""
    config = trained.model_dump(mode="json", include={"model", "likelihood"})
    found = hashlib.sha256(json.dumps([config, density.levels], sort_keys=True).encode())
    for name, weight in sorted(density.state_dict().items()):
        found.update(f"{name} {tuple(weight.shape)}".encode())
        found.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:32]


def report(config: CompressConfig, x: Tensor, size: int, nats: float, labels: int, seconds: float) -> None:
    """Show how long the file is, and how long the likelihood says that it has to be."""
    values = x.numel()
    rows = Table(show_header=False)
    rows.add_column(style="bold")
    rows.add_column(overflow="fold")
    rows.add_row("file", escape(config.out))
    rows.add_row("images", f"{len(x):,} of {'x'.join(map(str, x.shape[1:]))}, in {seconds:.1f} s")
    rows.add_row("bytes", f"{size:,}")
    rows.add_row("bits/dim of the file", f"{8 * size / values:.6f}")
    rows.add_row("bits/dim of the model", f"{nats / math.log(2) / values:.6f}")
    if labels > 1:
        rows.add_row("for the class or scan", f"at most {math.log2(labels):.2f} bits an image more than of the model")
    get_console().print(rows)


def decompress(config: DecompressConfig) -> None:
    """Write the levels of a .pxl file, or of some of its images, as a .npy file.

    Raises UserError if the file is damaged or written with another model, or the checkpoint cannot be read.
    """
    if not config.out.endswith(".npy"):
        raise UserError(f"out={config.out}: must end in .npy")
    check_file("file", config.file)
    header, begin = pxl.read_header(config.file)
    density, trained = loaded(config.ckpt)
    fits(config, header, density, trained)
    stop = header.images if config.n is None else config.first + config.n
    if stop > header.images or config.first >= header.images:
        raise UserError(f"first={config.first}, n={config.n}: the file has {header.images} images, from 0 on")
    coder, start = in_double(density).to(pick_device(config.device)), time.perf_counter()
    parts = []
    with enough_memory(f"batch_size={config.batch_size}"):
        for number, content in pxl.read_blocks(config.file, header, begin, config.first, stop):
            before = sum(block.images for block in header.blocks[:number])
            x = decoded(config, header, number, content, coder)
            parts.append(x[max(0, config.first - before) : stop - before])
    levels = torch.cat(parts).numpy()
    with write_whole(config.out) as file:
        np.save(file, levels)
    say(
        f"{Path(config.out)}: {len(levels):,} images of {density.levels} levels, in {time.perf_counter() - start:.1f} s"
    )


def fits(config: DecompressConfig, header: pxl.Header, density: Density, trained: TrainConfig) -> None:
    """Raise UserError unless the file was written with this model, and in a way that this version knows."""
    where = f"file={config.file}"
    if header.format != FORMAT or header.precision != PRECISION:
        told = f"format {header.format}, {header.precision}"
        raise UserError(f"{where}: {told}, by pixelcnn-lit {header.version}; this one reads {FORMAT}, {PRECISION}")
    if header.model != digest(density, trained) or header.shape[0] != density.image_shape[0]:
        raise UserError(f"{where}: written with another model ({header.network}) than ckpt={config.ckpt}")


def decoded(config: DecompressConfig, header: pxl.Header, number: int, content: bytes, coder: Density) -> Tensor:
    """The images of a block. Raise UserError if they are not those that were encoded."""
    block, where = header.blocks[number], f"file={config.file}: block {number}"
    if block.corrections % CORRECTION.itemsize or block.payload % 4:
        raise UserError(f"{where}: damaged: its parts have lengths that nothing has")
    corrections = np.frombuffer(content[: block.corrections], CORRECTION)
    try:
        x = decode(
            coder, Block(content[block.corrections :], corrections), (block.images, *header.shape), config.batch_size
        )
    except WrongDataError as error:
        raise UserError(f"{where}: damaged: {error}") from error
    x = x.cpu()
    if zlib.crc32(x.numpy().tobytes()) != block.crc_of_levels:
        raise UserError(f"{where}: decoded to other images than were encoded: this machine computes otherwise")
    return x
