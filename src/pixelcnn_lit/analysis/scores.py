"""Scores of how strange an image is to a density: higher where it looks less like the training images."""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def surprise(log_probs: Tensor) -> Tensor:
    """``-log p(x)`` in nats, from log p(x) (N,)."""
    return -log_probs


def atypicality(log_probs: Tensor, entropy: float, together: int) -> Tensor:
    """How far the surprise of ``together`` images is from the usual, in nats: log p(x) (N,) -> (N // together,).

    ``| -1/M sum over m of log p(x_m) - H |``, with M = ``together``, for images 1 to M, M + 1 to 2 M, and so on. The
    images that are left over have no score. ``entropy`` is H, the mean of -log p(x) over training images.

    Nalisnick et al., "Detecting out-of-distribution inputs to deep generative models using typicality" (2019), arXiv
    1906.02994.
    """
    whole = len(log_probs) // together * together
    return (-log_probs[:whole].view(-1, together).mean(1) - entropy).abs()


def likelihood_ratio(log_probs: Tensor, background: Tensor) -> Tensor:
    """``-(log p(x) - log p_0(x))`` in nats, from the log-likelihoods (N,) of the model and of a background model p_0.

    The background model is trained on images whose pixels are partly random, so it knows the background alone; what
    both give to it cancels.

    Ren et al., "Likelihood ratios for out-of-distribution detection" (2019), arXiv 1906.02845.
    """
    return background - log_probs


def input_complexity(log_probs: Tensor, lengths: Tensor) -> Tensor:
    """``-log2 p(x) - L(x)`` in bits, from log p(x) (N,) in nats and the lengths L(x) of the images as compressed files.

    Serrà et al., "Input complexity and out-of-distribution detection with likelihood-based generative models" (2019),
    arXiv 1909.11480.
    """
    return -log_probs / math.log(2) - lengths


def png_bits(x: Tensor) -> Tensor:
    """The length of each image as an optimised PNG file, in bits: levels (N, C, H, W) -> (N,), for 1 to 4 channels.

    Every file counts its header, some 500 bits. That moves all scores alike, and changes no order.
    """
    lengths = []
    depth = np.uint8 if x.dtype == torch.uint8 else np.uint16  # codes may be more than 256
    for image in x.cpu().numpy().astype(depth).transpose(0, 2, 3, 1):
        file = io.BytesIO()
        Image.fromarray(image.squeeze(2) if image.shape[2] == 1 else image).save(file, format="PNG", optimize=True)
        lengths.append(8 * file.tell())
    return torch.tensor(lengths, dtype=torch.float64)


def waic(each: Tensor) -> Tensor:
    """``Var log p_k(x) - mean log p_k(x)``, from log p_k(x) (K, N) in nats of the K models of an ensemble -> (N,).

    Both are over the models; the variance divides by K. It is the negative of the Watanabe-Akaike information
    criterion: an image is strange where the models find it improbable, or do not agree.

    Choi et al., "WAIC, but why?" (2018), arXiv 1810.01392.
    """
    return each.var(0, correction=0) - each.mean(0)
