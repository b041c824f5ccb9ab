"""The commands ``compress`` and ``decompress``: images as a file of the size that their likelihood says, and back."""

from __future__ import annotations

import hashlib
import json
import math
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import torch
from rich import get_console
from rich.markup import escape
from rich.table import Table
from torch import Tensor

import pixelcnn_lit
from pixelcnn_lit.analysis.codec import (
    CORRECTION,
    DRIFT,
    STEP,
    Block,
    Told,
    WrongDataError,
    decode,
    encode,
    found_drift,
    in_double,
    labels_of,
)
from pixelcnn_lit.analysis.outputs import check_outputs
from pixelcnn_lit.config import CompressConfig, DecompressConfig, TrainConfig
from pixelcnn_lit.config.model import OrderedNetworkConfig
from pixelcnn_lit.data.images import ImageData
from pixelcnn_lit.density import Density
from pixelcnn_lit.device import enough_memory, pick_device
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import say
from pixelcnn_lit.progress import Tell, progress
from pixelcnn_lit.storage import pxl
from pixelcnn_lit.storage.checkpoint import load_with_config
from pixelcnn_lit.storage.files import check_file, write_whole

FORMAT = 1
PRECISION = f"float64, 1/{STEP} nat"


@dataclass(frozen=True)
class Coder:
    """The density of a checkpoint as it codes, in float64; the config that trained it, and a digest of its weights."""

    path: str
    density: Density
    trained: TrainConfig
    digest: str


def compress(config: CompressConfig) -> None:
    """Write the images of a split as a .pxl file, and show its size beside what the likelihood says.

    Raises UserError if the checkpoint or the data cannot be read, or the model cannot code them.
    """
    if not config.out.endswith(".pxl"):
        raise UserError(f"out={config.out}: must end in .pxl")
    check_outputs(config)
    coder = opened(config.ckpt, pick_device(config.device))
    check_outputs(config, trained=coder.trained.data)
    data = ImageData(config.data.instead_of(coder.trained.data, n_classes=0), coder.trained.seed)
    if config.n is not None:
        data.keep(config.split, config.n)
    x = data.split(config.split).images
    start, block = time.perf_counter(), min(config.block, len(x))
    older = Path(config.out).exists()
    try:
        pxl.check_block(block, (x.shape[1], x.shape[2], x.shape[3]))
    except ValueError as error:
        raise UserError(f"block={config.block}: {error}") from error
    with enough_memory(f"batch_size={config.batch_size}, block={block}"), write_whole(config.out) as file:
        written = write_images(coder, file, x, block, config.batch_size)
    report(config, x, written, labels_of(coder.density), time.perf_counter() - start)
    if older:
        say(f"{Path(config.out)}: in place of an older file of this name")
    if isinstance(coder.trained.model, OrderedNetworkConfig):
        say("coded in raster order alone; the model's bits/dim are of this order, not of its mixture of scans")


class Written(NamedTuple):
    """A file of images: its bytes, those of them that are its header, and -log p(x) of all images in nats."""

    size: int
    header: int
    nats: float


def write_images(coder: Coder, file: IO[bytes], x: Tensor, block: int, batch_size: int) -> Written:
    """Write levels x (N, C, H, W), ``block`` images a block.

    Raises UserError if the model cannot code them.
    """
    check_codable(coder, x)
    headers, contents = [], []
    nats = torch.zeros((), dtype=torch.double)
    with progress("compressing images", len(x)) as tell:
        for number, part in enumerate(x.split(block)):
            told = _teller(tell, number * block, len(part))
            written, log_prob = encode(coder.density, part.to(coder.density.device), batch_size, told)
            nats -= log_prob.sum().cpu()
            headers.append(described(written, part))
            contents.append(written.corrections.tobytes() + written.payload)
    header = pxl.Header(
        format=FORMAT,
        version=pixelcnn_lit.__version__,
        network=coder.trained.model.name,
        model=coder.digest,
        precision=PRECISION,
        levels=coder.density.levels,
        shape=(x.shape[1], x.shape[2], x.shape[3]),
        blocks=headers,
    )
    size = pxl.write(file, header, contents)
    return Written(size, size - sum(map(len, contents)), float(nats))


def _teller(tell: Tell, before: int, images: int) -> Told:
    """What shows the share that is done of a block of images, with so many images before it."""
    return lambda share: tell(before + share * images, "")


def check_codable(coder: Coder, x: Tensor) -> None:
    """Raise UserError for a network with which a file could be written but perhaps not read."""
    drift = found_drift(coder.density, x.to(coder.density.device))
    if not drift < math.inf:
        raise UserError(f"ckpt={coder.path}: its logits are NaN: its weights are too large")
    if drift > DRIFT:
        raise UserError(
            f"ckpt={coder.path}: in float64 its conditionals differ by {drift:.1e} nats between whole images and a "
            f"pixel at a time, and with more than {DRIFT:.1e} a file may not be read again; does a part of the network "
            "compute in float32?"
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


def opened(path: str, device: torch.device) -> Coder:
    """The model of a checkpoint, on a device. Raise UserError if it is one that cannot code images."""
    density, trained = load_with_config(path)
    if density.context_shape is not None:
        raise UserError(f"ckpt={path}: has context={trained.context.name}, which a compressed file does not hold")
    if density.levels > 256:
        raise UserError(f"ckpt={path}: has {density.levels} levels; images of at most 256 are compressed")
    return Coder(path, in_double(density).to(device), trained, digest(density, trained))


def digest(density: Density, trained: TrainConfig) -> str:
    """The first half of the SHA-256 of what probabilities depend on: the network, its weights, and the likelihood."""
    config = trained.model_dump(mode="json", include={"model", "likelihood"})
    found = hashlib.sha256(json.dumps([config, density.levels], sort_keys=True).encode())
    for name, weight in sorted(density.state_dict().items()):
        found.update(f"{name} {tuple(weight.shape)}".encode())
        found.update(weight.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()[:32]


def report(config: CompressConfig, x: Tensor, written: Written, labels: int, seconds: float) -> None:
    """Show how long the file is, and how long the likelihood says that it has to be."""
    values = x.numel()
    rows = Table(show_header=False)
    rows.add_column(style="bold")
    rows.add_column(overflow="fold")
    rows.add_row("file", escape(config.out))
    rows.add_row("images", f"{len(x):,} of {'x'.join(map(str, x.shape[1:]))}, in {seconds:.1f} s")
    rows.add_row("bytes", f"{written.size:,}, of which {written.header:,} are the header")
    rows.add_row("bits/dim of the file", f"{8 * written.size / values:.6f}")
    rows.add_row("bits/dim of the model", f"{written.nats / math.log(2) / values:.6f}")
    if labels > 1:
        rows.add_row("for the class or scan", f"at most {math.log2(labels):.2f} bits an image more than of the model")
    get_console().print(rows)


def decompress(config: DecompressConfig) -> None:
    """Write the levels of a .pxl file, or of some of its images, as a .npy file.

    Raises UserError if the file is damaged or written with another model, or the checkpoint cannot be read.
    """
    if not config.out.endswith(".npy"):
        raise UserError(f"out={config.out}: must end in .npy")
    check_outputs(config)
    check_file("file", config.file)
    header, begin = pxl.read_header(config.file)
    coder = opened(config.ckpt, pick_device(config.device))
    stop = header.images if config.n is None else config.first + config.n
    if stop > header.images or config.first >= header.images:
        asked = f"first={config.first}, n={'null' if config.n is None else config.n}"
        raise UserError(f"{asked}: the file has the images 0 to {header.images - 1}")
    start = time.perf_counter()
    with enough_memory(f"batch_size={config.batch_size}"), write_whole(config.out) as file:
        levels = read_images(coder, config.file, header, begin, range(config.first, stop), config.batch_size)
        np.save(file, levels.numpy())
    told = f"{len(levels):,} images of {coder.density.levels} levels, in {time.perf_counter() - start:.1f} s"
    say(f"{Path(config.out)}: {told}")


def read_images(
    coder: Coder, path: str | Path, header: pxl.Header, begin: int, images: range, batch_size: int
) -> Tensor:
    """The levels (N, C, H, W) of some images of a file whose header was read.

    Raises UserError if the file is damaged, or written with another model or version of the format.
    """
    where, parts = f"file={path}", []
    check_fits(coder, where, header)
    read = list(pxl.read_blocks(path, header, begin, images.start, images.stop))
    with progress("reading images", sum(header.blocks[number].images for number, _ in read)) as tell:
        done = 0
        for number, content in read:
            told = _teller(tell, done, header.blocks[number].images)
            before = sum(block.images for block in header.blocks[:number])
            x = decoded(coder.density, f"{where}: block {number}", header, number, content, batch_size, told)
            parts.append(x[max(0, images.start - before) : images.stop - before])
            done += header.blocks[number].images
    return torch.cat(parts)


def check_fits(coder: Coder, where: str, header: pxl.Header) -> None:
    """Raise UserError unless the file was written with this model, and in a way that this version knows."""
    if header.format != FORMAT or header.precision != PRECISION:
        told = f"format {header.format}, {header.precision}"
        raise UserError(f"{where}: {told}, by pixelcnn-lit {header.version}; this one reads {FORMAT}, {PRECISION}")
    if header.model != coder.digest or header.shape[0] != coder.density.image_shape[0]:
        raise UserError(f"{where}: written with another model ({header.network}) than ckpt={coder.path}")


def decoded(
    density: Density,
    where: str,
    header: pxl.Header,
    number: int,
    content: bytes,
    batch_size: int,
    told: Told,
) -> Tensor:
    """The images of a block. Raise UserError if they are not those that were encoded."""
    block = header.blocks[number]
    if block.corrections % CORRECTION.itemsize or block.payload % 4:
        raise UserError(f"{where}: damaged: its parts have lengths that nothing has")
    corrections = np.frombuffer(content[: block.corrections], CORRECTION)
    coded = Block(content[block.corrections :], corrections)
    try:
        x = decode(density, coded, (block.images, *header.shape), batch_size, told)
    except WrongDataError as error:
        raise UserError(f"{where}: damaged: {error}") from error
    x = x.cpu()
    if zlib.crc32(x.numpy().tobytes()) != block.crc_of_levels:
        raise UserError(f"{where}: decoded to other images than were encoded: this machine computes otherwise")
    return x
