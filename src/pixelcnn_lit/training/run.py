"""The run of a density, what ``python -m pixelcnn_lit.train`` trains."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pytorch_lightning.callbacks import Callback

from pixelcnn_lit import messages, pictures
from pixelcnn_lit.config import TrainConfig
from pixelcnn_lit.data.classes import legend
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.density import Density
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.progress import progress
from pixelcnn_lit.scores import BITS
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.training import precision, summary
from pixelcnn_lit.training.base_run import BaseRun
from pixelcnn_lit.training.callbacks import Pictures
from pixelcnn_lit.training.module import LitDensity
from pixelcnn_lit.training.selfcheck import check_foreign_parts

SAMPLES = 64
COMPLETIONS = 24


class Run(BaseRun[TrainConfig]):
    """The training of a density: its ``config``, ``folder``, ``data``, ``module`` and Lightning's ``trainer``.

    ::

        run = Run(compose(["experiment=quickstart", "trainer.max_epochs=1"]))
        run.fit()
        metrics = run.conclude()
        run.density.sample(4, seed=0)

    A run resumes from the newest good checkpoint in its folder, else from ``config.ckpt``, else it starts anew.
    """

    score = BITS
    command = "pixelcnn_lit.train"

    @property
    def density(self) -> Any:
        """The density that is trained. After :meth:`conclude` it has the best weights."""
        return self.module.model

    def _data(self) -> ImageDataModule:
        config = self.config
        fixed = bool(config.trainer.overfit_batches)
        return ImageDataModule(config.data, config.seed, context=config.context, reshuffle=not fixed)

    def _build(self) -> LitDensity:
        density = build_density(self.config)
        self._name_classes(density)
        check_foreign_parts(density, self.config)
        return LitDensity(density, self.config)

    def _name_classes(self, density: Density) -> None:
        """Number the classes as the checkpoint does, if there is one: other folders may be in ``data.path`` now.

        Weights that a new run begins with may be of other classes; then the numbers are those of the data.
        """
        if density.n_classes is None:
            return
        if self.ckpt is not None:
            self.data.renumber(checkpoint.class_names(self.ckpt), density.n_classes)
        elif self.config.weights is not None:
            known = checkpoint.class_names(checkpoint.best_in(self.config.weights))
            if set(known) == set(self.data.class_names):
                self.data.renumber(known, density.n_classes)
            elif known:
                messages.say(f"weights={self.config.weights}: its classes are others: {legend(known)}")
        density.class_names = self.data.class_names

    def _own_callbacks(self) -> Iterator[Callback]:
        self._gap = precision.PrecisionGap(self.data)
        yield self._gap
        if self.config.logger.tensorboard is not None:
            chosen = self.config.callbacks.pictures
            yield Pictures(chosen.every_n_epochs, chosen.n, self.config.seed, self.data)

    def _results(self, tested: Mapping[str, float], val: float | None, facts: dict[str, Any]) -> summary.Metrics:
        return summary.DensityMetrics(
            test=tested.get(BITS.test),
            val=val,
            dimensions=math.prod(self.config.data.image_shape),
            model=self.config.model.name,
            context=self.config.context.name,
            classes=self.config.model.n_classes or 0,
            precision_gap=self._gap.gap,
            **facts,
        )

    def _draw(self) -> None:
        scale, seed = pictures.default_scale(self.config.data.image_shape[2]), self.config.seed
        batch = self.data.split("test")[:COMPLETIONS]
        with progress("drawing samples and completions", 2) as tell:
            pictures.save_png(
                self.folder / "samples.png", pictures.draw_samples(self.density, SAMPLES, seed, scale, batch)
            )
            tell(1, "")
            pictures.save_png(
                self.folder / "completions.png", pictures.draw_completions(self.density, batch, seed, scale)
            )
