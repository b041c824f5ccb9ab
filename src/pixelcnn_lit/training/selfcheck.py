"""Parts from outside are checked on a small image before a training begins: what is wrong is cheap to say now.

A network that sees a later pixel trains without a word, to a likelihood that is too good and that of no distribution.
So does a likelihood that does not sum to one. The package's own parts are held to account by its tests instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from pixelcnn_lit.config import TrainConfig
from pixelcnn_lit.density import Density
from pixelcnn_lit.errors import UserError, in_words
from pixelcnn_lit.nn.inputs import level_type
from pixelcnn_lit.sampling.conditionals import Given
from pixelcnn_lit.sampling.draw import Method

SIZE = (6, 5)
N = 2
PACKAGE = "pixelcnn_lit."


def check_foreign_parts(density: Density, config: TrainConfig) -> None:
    """Check a density whose network or likelihood is not of this package; draws nothing from torch's generators.

    Raises UserError for parameters of another shape than the likelihood asks for, a network that sees a pixel or
    channel that it must not see, one that gives an image other parameters each time or beside other images, a
    likelihood whose nats are not those of its logits, and cached samples that differ from naive ones, each with what to
    look at.
    """
    parts = (density.network, density.likelihood)
    if all(type(part).__module__.startswith(PACKAGE) for part in parts):
        return
    was_training = density.training
    buffers = {name: buffer.clone() for name, buffer in density.named_buffers()}
    devices = [density.device] if density.device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(0)
        size = _size(density)
        x = torch.randint(density.levels, (N, density.image_shape[0], *size), dtype=level_type(density.levels))
        x = x.to(density.device)
        given = _random_given(density, size)
        check_shape(density.eval(), x, given, f"model={config.model.name}")
        check_function(density, x, given, f"model={config.model.name}")
        for training in (False, True):
            check_causality(density.train(training), x, given, f"model={config.model.name}")
        density.eval()
        check_likelihood(density, x, given, f"likelihood={config.likelihood.name}")
        check_samples(density, x, given, f"model={config.model.name}")
    density.train(was_training)
    with torch.no_grad():
        for name, buffer in density.named_buffers():
            buffer.copy_(buffers[name])


def _size(density: Density) -> tuple[int, int]:
    """The size of the images: a multiple of that of their context."""
    factor = 1 if density.context_shape is None else density.context_shape.factor
    return -(-SIZE[0] // factor) * factor, -(-SIZE[1] // factor) * factor


def _random_given(density: Density, size: tuple[int, int]) -> Given:
    """Random classes and contexts for a density that has them."""
    y = None if density.n_classes is None else torch.randint(density.n_classes, (N,)).to(density.device)
    shape = density.context_shape
    return Given(y, None if shape is None else torch.rand(N, *shape.of(*size)).to(density.device))


def check_shape(density: Density, x: Tensor, given: Given, where: str) -> None:
    """Raise UserError unless the network gives the parameters that the likelihood asks for, for each pixel."""
    expected = (N, density.likelihood.n_params(x.shape[1]), *x.shape[2:])
    try:
        with torch.no_grad():
            params = density.params(x, *given)
    except Exception as error:
        raise UserError(f"{where}: cannot compute an image of {tuple(x.shape)} ({in_words(error)})") from error
    if not isinstance(params, Tensor):
        raise UserError(f"{where}: its forward gives {type(params).__name__}, not a tensor of parameters")
    if not params.isfinite().all():
        raise UserError(f"{where}: gives NaN or infinite parameters")
    found = tuple(params.shape)
    if found != expected:
        raise UserError(
            f"{where}: gives parameters of shape {found} for images of {tuple(x.shape)}; the likelihood asks for "
            f"{expected}: n_params={expected[1]} for each pixel"
        )


def check_causality(density: Density, x: Tensor, given: Given, where: str) -> None:
    """Raise UserError where the gradient of a pixel's parameters by itself or a later pixel is not 0.

    There is an image for each pixel that is asked, so that one gradient answers for all of them.
    """
    channels, (height, width) = x.shape[1], x.shape[2:]
    groups = 1 if density.likelihood.couples_channels else channels
    asked = list(itertools.product(range(height), range(width)))
    images = [number % N for number in range(len(asked))]
    image = density.normalise(x[images]).requires_grad_()
    try:
        params = density.network(image, **density.given(*given.of(images))).unflatten(1, (groups, -1))
    except Exception as error:
        raise UserError(f"{where}: cannot compute an image{_while(density)} ({in_words(error)})") from error
    if not params.requires_grad:
        raise UserError(f"{where}: its parameters have no gradient{_while(density)}, so that it cannot be trained")
    for group in range(groups):
        total = torch.stack([params[n, group, :, row, column].sum() for n, (row, column) in enumerate(asked)]).sum()
        (seen,) = torch.autograd.grad(total, image, retain_graph=True, allow_unused=True)
        for n, (row, column) in enumerate(asked if seen is not None else ()):
            if (late := _first_late(seen[n], row, column, group)) is not None:
                of = f"channel {group} of " if groups > 1 else ""
                raise UserError(
                    f"{where}: {of}pixel ({row}, {column}) sees {late}{_while(density)}, so that it is no "
                    "distribution: layers on the image have type A, all others type B and the same groups; none "
                    "normalises over rows or columns"
                )


def _while(density: Density) -> str:
    return " while it trains" if density.training else ""


def check_function(density: Density, x: Tensor, given: Given, where: str) -> None:
    """Raise UserError unless an image has the same parameters each time, whatever other images there are beside it."""
    with torch.no_grad():
        once, again, alone = (density.params(x[:n], *given.of(list(range(n)))) for n in (N, N, 1))
    for found, expected, when in ((again, once, "a second time"), (alone, once[:1], "alone in its batch")):
        if not torch.allclose(found, expected, rtol=1e-3, atol=1e-4):
            raise UserError(
                f"{where}: gives an image other parameters {when}, so that it is no distribution: in evaluation "
                "nothing is drawn at random, and no operation mixes the images of a batch"
            )


def _first_late(seen: Tensor, row: int, column: int, group: int) -> str | None:
    """The first place that must not be seen but is, in words: by a gradient (C, H, W)."""
    allowed = torch.zeros_like(seen, dtype=torch.bool)
    allowed[:, :row] = True
    allowed[:, row, :column] = True
    allowed[:group, row, column] = True
    late = ((seen != 0) & ~allowed).nonzero()
    if not len(late):
        return None
    channel, at_row, at_column = late[0].tolist()
    return f"channel {channel} of pixel ({at_row}, {at_column})"


def check_likelihood(density: Density, x: Tensor, given: Given, where: str) -> None:
    """Raise UserError unless the log-softmax of the logits, at the levels of x, is what ``log_prob`` gives."""
    with torch.no_grad():
        params = density.params(x, *given)
        nats = _asked(where, density.likelihood.log_prob, params, x)
        if nats.shape != x.shape:
            raise UserError(f"{where}: log_prob gives shape {tuple(nats.shape)} for levels of {tuple(x.shape)}")
        for channel in range(x.shape[1]):
            logits = _asked(where, density.likelihood.logits, params, x, channel)
            expected = logits.log_softmax(1).gather(1, x[:, channel, None].long())[:, 0]
            worst = float((nats[:, channel] - expected).abs().max())
            if not worst < 1e-3:
                raise UserError(
                    f"{where}: log_prob differs from the log-softmax of its logits by {worst:.3g} nats in channel "
                    f"{channel}: its probabilities do not sum to one, or its logits are of another distribution"
                )


def _asked(where: str, method: Callable[..., Tensor], *arguments: Any) -> Tensor:
    """What a method of a likelihood gives. Raise UserError where it fails, or gives no tensor."""
    try:
        given = method(*arguments)
    except Exception as error:
        raise UserError(f"{where}: {method.__name__} fails ({in_words(error)})") from error
    if not isinstance(given, Tensor):
        raise UserError(f"{where}: {method.__name__} gives {type(given).__name__}, not a tensor")
    return given


def check_samples(density: Density, x: Tensor, given: Given, where: str) -> None:
    """Raise UserError where a network that says so cannot be sampled with caches, or is sampled differently."""
    if not density.has_cached_path:
        return
    known = torch.zeros(x.shape[2:], dtype=torch.bool, device=x.device)
    known[:2] = True
    advice = (
        "hand `at` to every causal layer, with nothing but pointwise operations between; or cached_sampling = False"
    )
    try:
        drawn = [list(_drawn(density, x, known, given, method)) for method in ("cached", "naive")]
    except Exception as error:
        raise UserError(f"{where}: cannot be computed a pixel at a time ({in_words(error)}): {advice}") from error
    if not all(torch.equal(cached, naive) for cached, naive in zip(*drawn, strict=True)):
        raise UserError(f"{where}: its cached samples differ from its naive ones: {advice}")


def _drawn(density: Density, x: Tensor, known: Tensor, given: Given, method: Method) -> Iterator[Tensor]:
    size = x.shape[2], x.shape[3]
    yield density.sample(N, 0, given.y, context=given.context, size=size, method=method)
    yield density.complete(x, known, 1, given.y, context=given.context, method=method)
