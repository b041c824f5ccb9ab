"""Muon: gradient steps whose matrices are made orthogonal. Jordan et al. (2024), kellerjordan.github.io/posts/muon.

The scale of a step is that of Liu et al. (2025), arXiv 2502.16982, so that one learning rate serves Muon and AdamW.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Jordan's coefficients: they grow small singular values fastest, and leave all between about 0.7 and 1.2."""


class Muon(torch.optim.AdamW):
    """Muon for the weights of convolutions, AdamW for all other parameters.

    A weight W (out, in, *taps) is taken as a matrix of out rows and in * taps columns, with gradient G:

    ``M <- beta M + (1 - beta) G;  D = orthogonal(beta M + (1 - beta) G)``

    ``W <- (1 - lr decay) W - 0.2 sqrt(max(rows, columns)) lr D``

    So a change of W has a root mean square of about 0.2 lr, as with AdamW. Only parameters of three and more dimensions
    are such weights: the tables of classes, linear layers, biases and the lengths of weight normalisation are not.

    Args:
        parameters: All parameters of a model.
        lr: The learning rate of both.
        betas: The momentum beta, of both; and AdamW's average of squares.
        weight_decay: The decay of both.
        fused: Whether AdamW's part is one operation.

    >>> import torch
    >>> from pixelcnn_lit.training.muon import Muon
    >>> layer = torch.nn.Conv2d(8, 8, 3)
    >>> optimizer = Muon(layer.parameters(), lr=1e-3, betas=(0.95, 0.99), weight_decay=0.0, fused=False)
    >>> layer(torch.rand(1, 8, 5, 5)).sum().backward()
    >>> optimizer.step()
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        *,
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        fused: bool,
    ) -> None:
        kinds: dict[bool, list[Tensor]] = {False: [], True: []}
        for parameter in parameters:
            kinds[is_matrix(parameter)].append(parameter)
        groups = [{"params": members, "orthogonal": kind} for kind, members in kinds.items()]
        super().__init__(groups, lr=lr, betas=betas, weight_decay=weight_decay, fused=fused)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step. A ``found_inf`` of 1 leaves it out, as for torch's fused optimisers."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        gradients = [(w, w.grad) for group in self.param_groups if group["orthogonal"] for w in group["params"]]
        for group in self.param_groups:
            if group["orthogonal"]:
                self._step_of_matrices(group)
        for weight, _ in gradients:
            weight.grad = None  # AdamW passes over it
        super().step()
        for weight, gradient in gradients:
            weight.grad = gradient
        return loss

    def _step_of_matrices(self, group: dict[str, Any]) -> None:
        lr, beta = group["lr"], group["betas"][0]
        wrong = getattr(self, "found_inf", None)
        alike: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = defaultdict(list)
        for weight in group["params"]:
            if weight.grad is not None:
                gradient = weight.grad if wrong is None else torch.where(wrong > 0, self._momentum(weight), weight.grad)
                direction = self._momentum(weight).lerp_(gradient, 1 - beta).lerp(gradient, 1 - beta).flatten(1)
                alike[direction.shape[0], direction.shape[1]].append((weight, direction))
        going = 1.0 if wrong is None else 1.0 - wrong
        for shape, members in alike.items():
            changes = orthogonal(torch.stack([direction for _, direction in members]))
            changes *= 0.2 * max(shape) ** 0.5 * lr * going
            for (weight, _), change in zip(members, changes, strict=True):
                weight.mul_(1 - lr * group["weight_decay"] * going).sub_(change.view_as(weight))

    def _momentum(self, weight: Tensor) -> Tensor:
        """The average of a weight's gradients, under Adam's name. Adam also looks for a step in all that it loads."""
        state = self.state[weight]
        if not state:
            state.update(step=torch.zeros(()), exp_avg=torch.zeros_like(weight))
        momentum: Tensor = state["exp_avg"]
        return momentum


def is_matrix(parameter: Tensor) -> bool:
    """Whether Muon takes this parameter: a weight (out, in, *taps) with more than one row and one column.

    >>> import torch
    >>> from pixelcnn_lit.training.muon import is_matrix
    >>> [is_matrix(torch.zeros(shape)) for shape in [(8, 4, 3, 3), (8, 1, 1, 1), (10, 8)]]
    [True, False, False]
    """
    return parameter.ndim > 2 and parameter.shape[0] > 1 and parameter[0].numel() > 1


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest orthogonal matrices of ``matrices`` (N, rows, columns), roughly: U V^T of G = U S V^T.

    Five steps of a Newton-Schulz iteration, X <- a X + (b X X^T + c (X X^T)^2) X, give singular values of 0.7 to 1.2. A
    matrix of zeros stays one.

    >>> import torch
    >>> from pixelcnn_lit.training.muon import orthogonal
    >>> values = torch.linalg.svdvals(orthogonal(torch.diag(torch.tensor([1.0, 2.0, 4.0]))[None]))
    >>> bool(((values > 0.6) & (values < 1.3)).all())
    True
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(5):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x
