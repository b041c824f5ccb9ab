"""Mutation: a share of the pixels becomes random levels (Ren et al., 2019, arXiv 1906.02845, section 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mutate(levels_: NDArray[Any], share: float, levels: int, seed: int) -> NDArray[Any]:
    """Levels (N, ...) of which each, with probability ``share``, is drawn anew from 0..levels-1, all equally likely.

    What image i becomes depends on ``seed``, ``share`` and i alone. A drawn level may be the one that was there before.
    The same seed with a larger share mutates the same values and more of them, to the same levels.

    >>> import numpy as np
    >>> from pixelcnn_lit.data.mutate import mutate
    >>> x = np.zeros((2, 1, 28, 28), dtype=np.uint8)
    >>> bool((mutate(x, 0.0, levels=4, seed=0) == x).all())
    True
    >>> 0.65 < float((mutate(x, 0.9, levels=4, seed=0) > 0).mean()) < 0.7
    True
    """
    mutated = np.empty_like(levels_)
    for number, image in enumerate(levels_):
        rng: Any = np.random.default_rng((seed, number))
        chosen, drawn = rng.random(image.shape) < share, rng.integers(0, levels, image.shape, dtype=image.dtype)
        mutated[number] = np.where(chosen, drawn, image)
    return mutated
