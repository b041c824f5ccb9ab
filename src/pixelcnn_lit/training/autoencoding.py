"""The training of an autoencoder: its loss, its metrics, and the use of its codes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Callback
from torch import Tensor, nn

from pixelcnn_lit import pictures
from pixelcnn_lit.autoencoder.autoencoder import Autoencoder
from pixelcnn_lit.config import AutoencoderRunConfig
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.data.images import Batch, TrainingBatch
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.factory import build_autoencoder
from pixelcnn_lit.metrics import CodeUse, SquaredError, psnr
from pixelcnn_lit.scores import ERROR
from pixelcnn_lit.training import summary
from pixelcnn_lit.training.base import LitModel
from pixelcnn_lit.training.base_run import BaseRun
from pixelcnn_lit.training.callbacks import board_for_pictures

COLLAPSED = 0.05
"""A codebook whose perplexity is below this share of its codes is told of."""
SHOWN = 24
"""How many images of the test split are shown beside their reconstructions."""


class LitAutoencoder(LitModel):
    """Trains an autoencoder: squared error per dimension, of images in [0, 1], and ``commitment`` times that of codes.

    The codes themselves are moving averages, and have no gradient. Razavi et al. (2019), arXiv 1906.00446, equation 2.
    """

    score = ERROR

    def __init__(self, autoencoder: Autoencoder, config: AutoencoderRunConfig) -> None:
        super().__init__(config)
        self.autoencoder = autoencoder
        self._commitment = config.autoencoder.commitment
        self.errors = nn.ModuleDict({split: SquaredError() for split in ("val", "test")})
        self.uses = nn.ModuleDict({name: CodeUse(autoencoder.n_codes) for name in autoencoder.names})

    @property
    def model(self) -> Autoencoder:
        return self.autoencoder

    def initialise(self, batch: TrainingBatch) -> None:
        self.autoencoder.initialise(batch[0])

    def training_step(self, batch: TrainingBatch, batch_idx: int) -> Tensor:
        x = self.autoencoder.normalise(batch[0])
        result = self.autoencoder(x)
        errors = (x - result.images.float()).square().flatten(1).mean(1)
        self.log_train(errors.detach().mean(), len(x))
        loss: Tensor = errors.sum() + self._commitment * len(x) * result.commitment
        return loss * self.share_of_step(batch_idx)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("val", batch)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        self._evaluate("test", batch)

    def _evaluate(self, split: str, batch: Batch) -> None:
        x = self.autoencoder.normalise(batch[0])
        with torch.autocast(self.device.type, enabled=False):
            result = self.autoencoder(x)
        self._error(split).update(x, result.images)
        for name, codes in zip(self.autoencoder.names, result.codes, strict=True):
            self._use(name).update(codes)

    def on_validation_epoch_end(self) -> None:
        self._report("val")

    def on_test_epoch_end(self) -> None:
        self._report("test")

    def _report(self, split: str) -> None:
        error = self._error(split).compute()
        self.log(f"{split}/{ERROR.name}", error, prog_bar=True)
        self.log(f"{split}/psnr", psnr(float(error)))
        self._error(split).reset()
        for name in self.autoencoder.names:
            perplexity, alive = self._use(name).compute()
            self.log(f"{split}/perplexity_{name}", perplexity)
            self.log(f"{split}/alive_{name}", alive)
            self._use(name).reset()

    def _error(self, split: str) -> SquaredError:
        found = self.errors[split]
        assert isinstance(found, SquaredError)
        return found

    def _use(self, name: str) -> CodeUse:
        found = self.uses[name]
        assert isinstance(found, CodeUse)
        return found


class CollapseWatch(pl.Callback):
    """Says it once for each codebook, while it happens, that few of its codes are used."""

    def __init__(self) -> None:
        self._told: set[str] = set()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.sanity_checking or not trainer.is_global_zero:
            return
        assert isinstance(pl_module, LitAutoencoder)
        n_codes = pl_module.autoencoder.n_codes
        for name in pl_module.autoencoder.names:
            perplexity = float(trainer.callback_metrics[f"val/perplexity_{name}"])
            if perplexity >= COLLAPSED * n_codes or name in self._told:
                continue
            self._told.add(name)
            alive = round(float(trainer.callback_metrics[f"val/alive_{name}"]) * n_codes)
            logging.getLogger(__name__).warning(
                "warning: step %d: the codes of level %s collapse: %d of %d are used, with a perplexity of %.1f. What "
                "may help: a higher autoencoder.revive_below, a lower optimizer.lr, fewer autoencoder.n_codes",
                *(trainer.global_step, name, alive, n_codes, perplexity),
            )


class Reconstructions(pl.Callback):
    """Shows images of the validation split and their reconstructions in TensorBoard."""

    def __init__(self, every_n_epochs: int, n: int, data: ImageDataModule) -> None:
        self._every, self._n, self._data = every_n_epochs, n, data

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        board = board_for_pictures(trainer, self._every)
        if board is None:
            return
        assert isinstance(pl_module, LitAutoencoder)
        picture = reconstructions(pl_module.autoencoder, self._data.split("val").images[: self._n])
        board.add_picture("reconstructions", picture, trainer.global_step)


def reconstructions(autoencoder: Autoencoder, x: Tensor) -> pictures.Picture:
    """A picture of levels x (N, C, H, W), and below each row what comes back from its codes."""
    was_training = autoencoder.training
    back = autoencoder.eval().reconstruct(x.to(autoencoder.device)).cpu()
    autoencoder.train(was_training)
    parts = [pictures.as_rgb(part, autoencoder.levels) for part in (x, back)]
    return pictures.bands(parts, pictures.default_scale(x.shape[3]))


class AutoencoderRun(BaseRun[AutoencoderRunConfig]):
    """The training of an autoencoder, the first stage of ``python -m pixelcnn_lit.vqvae``.

    ::

        run = AutoencoderRun(compose_vqvae(["experiment=vqvae2_quick", "trainer.max_epochs=1"]).first)
        run.fit()
        metrics = run.conclude()
        run.autoencoder.encode(x)
    """

    score = ERROR
    command = "pixelcnn_lit.vqvae"

    @property
    def autoencoder(self) -> Autoencoder:
        """The autoencoder that is trained. After :meth:`conclude` it has the best weights."""
        model = self.module.model
        assert isinstance(model, Autoencoder)
        return model

    def _build(self) -> LitAutoencoder:
        if self.trainer.world_size > 1:
            raise UserError(f"trainer.devices={self.config.trainer.devices}: an autoencoder trains in one process")
        if self.config.callbacks.ema.decay is not None:
            raise UserError("callbacks.ema.decay: codes are averages already; an autoencoder needs null")
        return LitAutoencoder(build_autoencoder(self.config), self.config)

    def _own_callbacks(self) -> Iterator[Callback]:
        yield CollapseWatch()
        if self.config.logger.tensorboard is not None:
            chosen = self.config.callbacks.pictures
            yield Reconstructions(chosen.every_n_epochs, chosen.n, self.data)

    def _results(self, tested: Mapping[str, float], val: float | None, facts: dict[str, Any]) -> summary.Metrics:
        names = self.autoencoder.names
        return summary.AutoencoderMetrics(
            test=tested.get(ERROR.test),
            val=val,
            psnr=tested.get("test/psnr"),
            n_codes=self.config.autoencoder.n_codes,
            perplexity={name: tested.get(f"test/perplexity_{name}") for name in names},
            alive={name: tested.get(f"test/alive_{name}") for name in names},
            **facts,
        )

    def _draw(self) -> None:
        picture = reconstructions(self.autoencoder, self.data.split("test").images[:SHOWN])
        pictures.save_png(self.folder / "reconstructions.png", picture)
