"""``python -m pixelcnn_lit.train``: fit a density, test its best checkpoint, leave numbers and pictures.

The configs are conf/train.yaml and the groups beside it; the imports wait until Hydra has read the command line.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from pixelcnn_lit import command

if TYPE_CHECKING:
    from pathlib import Path

    import pytorch_lightning as pl

    from pixelcnn_lit.callbacks import Throughput
    from pixelcnn_lit.config import TrainConfig
    from pixelcnn_lit.data.datamodule import ImageDataModule
    from pixelcnn_lit.module import LitDensity
    from pixelcnn_lit.resume import Position, StopSignals


def main() -> None:
    """Run the command."""
    command.run("train", train)


def train(composed: DictConfig) -> float | None:
    """Run one training, or what is missing of it in its folder. Returns the best validation bits/dim."""
    from pathlib import Path

    from hydra.core.hydra_config import HydraConfig

    from pixelcnn_lit import runs
    from pixelcnn_lit.config import TrainConfig, check
    from pixelcnn_lit.errors import Pruned
    from pixelcnn_lit.files import shown

    config = check(composed, TrainConfig)
    hydra = HydraConfig.get()
    run_dir = Path(hydra.runtime.output_dir)
    with runs.claimed(run_dir, config) as done:
        if done is not None:
            if runs.rank() == 0:
                print(f"{shown(run_dir)} is finished: {runs.summary(done)}. To start over: overwrite=true")
            return done.get("val/bits_per_dim")
        if runs.rank() == 0:
            runs.record(run_dir, composed, hydra)
        try:
            return _train(config, run_dir)
        except Pruned as pruned:
            if runs.rank() == 0:
                runs.stop(run_dir, "pruned", str(pruned))
                command.say(f"pruned: {pruned}")
            return None
        except Exception as error:
            if runs.rank() == 0:
                runs.stop(run_dir, "failed", command.message(error))
                command.SHOWN.error(command.message(error))
            raise


def _train(config: TrainConfig, run_dir: Path) -> float | None:
    import pytorch_lightning as pl

    from pixelcnn_lit import checkpoint, results, resume, runs
    from pixelcnn_lit.callbacks import Throughput
    from pixelcnn_lit.data.datamodule import ImageDataModule
    from pixelcnn_lit.device import enough_memory
    from pixelcnn_lit.errors import Interrupted
    from pixelcnn_lit.files import shown
    from pixelcnn_lit.logger import TensorBoard
    from pixelcnn_lit.module import LitDensity
    from pixelcnn_lit.registry import build_density

    results.quiet_lightning()
    pl.seed_everything(config.seed, verbose=False)
    start = (None if runs.starts_over(config) else checkpoint.newest_good(run_dir / runs.CHECKPOINTS)) or config.ckpt
    ckpt = None if start is None else checkpoint.resumable(start, config)
    data = ImageDataModule(config.data, config.seed)
    throughput = Throughput()
    position, signals = resume.Position(), resume.StopSignals()
    trainer = make_trainer(config, run_dir, data, throughput, position, signals, ckpt)
    data.setup()
    module = LitDensity(build_density(config), config)
    if trainer.is_global_zero:
        headline = results.headline(config, module.density, data, run_dir, str(trainer.precision))
        command.say(headline)
        if ckpt is not None:
            command.say(f"goes on from {shown(ckpt)}")
    if isinstance(trainer.logger, TensorBoard):
        trainer.logger.begin(results.hyperparameters(config, data))
    last = run_dir / runs.CHECKPOINTS / checkpoint.LAST
    with signals.caught():
        try:
            advice = "Try a smaller one with trainer.accumulate_grad_batches=N, N times as large in effect"
            with enough_memory(f"data.batch_size={config.data.batch_size}", advice):
                if ckpt is None:
                    module.density.initialise(*next(iter(data.loader("train", shuffle=True))))
                _fit(trainer, module, data, ckpt, position)
                return _conclude(config, trainer, module, data, throughput, run_dir)
        except (resume.Stop, SystemExit, KeyboardInterrupt):  # SystemExit is what Lightning makes of the third
            reached = last if last.exists() else ckpt
            how = _how_to_go_on(config, reached)
            raise Interrupted(how, signals.received) from None


def _how_to_go_on(config: TrainConfig, reached: Path | None) -> str:
    from pixelcnn_lit.files import shown

    if reached is None:
        return "before the first checkpoint"
    return "the same command goes on" if config.name else f"go on with ckpt={shown(reached)}"


def make_trainer(
    config: TrainConfig,
    run_dir: Path,
    data: ImageDataModule,
    throughput: Throughput,
    position: Position,
    signals: StopSignals,
    ckpt: Path | None,
) -> pl.Trainer:
    """Lightning's Trainer for a config, to go on from ``ckpt``. Raise UserError for arguments that it refuses."""
    import pytorch_lightning as pl
    import torch
    from pytorch_lightning.callbacks import (
        Callback,
        EarlyStopping,
        EMAWeightAveraging,
        LearningRateMonitor,
    )
    from rich import get_console

    from pixelcnn_lit import runs
    from pixelcnn_lit.callbacks import EpochLines, FiniteSteps, Pictures, ProgressBar, ValidationCurve
    from pixelcnn_lit.device import fast_precision
    from pixelcnn_lit.errors import UserError
    from pixelcnn_lit.logger import TensorBoard
    from pixelcnn_lit.resume import BestCheckpoint, LastCheckpoint, WholeCheckpoints
    from pixelcnn_lit.sweeps.trial import NOTE, Prune

    console = get_console()
    options: dict[str, Any] = config.trainer.model_dump(exclude={"compile", "checkpoint_activations"})
    if options["accelerator"] == "auto":
        options["accelerator"] = "cuda" if torch.cuda.is_available() else "cpu"
    if options["accelerator"] in ("cuda", "gpu") and not torch.cuda.is_available():
        wish = options["accelerator"]
        raise UserError(f"trainer.accelerator={wish}: no CUDA GPU here; trainer=auto or trainer=cpu would work")
    if options["precision"] == "auto":
        options["precision"] = fast_precision(options["accelerator"])
    if options["enable_progress_bar"] is None:
        options["enable_progress_bar"] = console.is_terminal
    folder = run_dir / runs.CHECKPOINTS
    finite, curve = FiniteSteps(config.on_nan, folder), ValidationCurve(run_dir, throughput)
    callbacks: list[Callback] = [position, finite, throughput, EpochLines(throughput), curve]
    if (run_dir / NOTE).exists():
        callbacks.append(Prune(run_dir))
    if options["enable_progress_bar"]:
        callbacks.append(ProgressBar())
    chosen = config.callbacks
    logger: TensorBoard | bool = False
    if config.logger.name == "tensorboard":
        logger = TensorBoard(run_dir)
        every, n = chosen.pictures.every_n_epochs, chosen.pictures.n
        callbacks += [LearningRateMonitor("step"), Pictures(every, n, config.seed, data)]
    if chosen.ema.decay is not None:
        callbacks.append(EMAWeightAveraging(decay=chosen.ema.decay))
    validates = options["limit_val_batches"] != 0 and not options["overfit_batches"]
    if chosen.early_stopping.patience is not None:
        if not validates:
            raise UserError("callbacks.early_stopping.patience: needs validation, which trainer turns off")
        patience, min_delta = chosen.early_stopping.patience, chosen.early_stopping.min_delta
        # After validations, not epochs: an epoch that ends without one would count the one before again.
        callbacks.append(
            EarlyStopping("val/bits_per_dim", min_delta, patience, mode="min", check_on_train_epoch_end=False)
        )
    if options["enable_checkpointing"] is not False and not options["fast_dev_run"] and not options["barebones"]:
        callbacks.append(BestCheckpoint(folder, "val/bits_per_dim" if validates else None, ckpt))
        callbacks.append(LastCheckpoint(folder, config.checkpoint.every_minutes, signals))
    try:
        return pl.Trainer(**options, callbacks=callbacks, logger=logger, plugins=[WholeCheckpoints()])
    except Exception as error:  # Lightning refuses arguments with many kinds of errors
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error


def _fit(trainer: pl.Trainer, module: LitDensity, data: ImageDataModule, ckpt: Path | None, position: Position) -> None:
    """Train, and say of what Lightning refuses whether it was the Trainer's arguments or the checkpoint."""
    from lightning_fabric.utilities.exceptions import MisconfigurationException

    from pixelcnn_lit.errors import UserError
    from pixelcnn_lit.resume import Stop

    try:
        trainer.fit(module, datamodule=data, ckpt_path=ckpt, weights_only=True)
    except (UserError, Stop):
        raise
    except MisconfigurationException as error:
        raise UserError(f"trainer: {' '.join(str(error).split())}") from error
    except Exception as error:
        if ckpt is None or position.started:
            raise
        reason = " ".join([f"{type(error).__name__}:", *str(error).split()])
        raise UserError(f"ckpt={ckpt}: its state of a training does not fit this run ({reason})") from error


def _conclude(
    config: TrainConfig,
    trainer: pl.Trainer,
    module: LitDensity,
    data: ImageDataModule,
    throughput: Throughput,
    run_dir: Path,
) -> float | None:
    """Test the best checkpoint; write metrics.json, the two pictures and the HParams; show the table."""
    from pytorch_lightning.callbacks import ModelCheckpoint
    from rich import get_console

    from pixelcnn_lit import checkpoint, results, runs
    from pixelcnn_lit.callbacks import FiniteSteps
    from pixelcnn_lit.errors import UserError

    keeper = trainer.checkpoint_callback
    best = keeper.best_model_path if isinstance(keeper, ModelCheckpoint) else ""
    val: Any = trainer.callback_metrics.get("val/bits_per_dim")
    if isinstance(keeper, ModelCheckpoint) and keeper.monitor and keeper.best_model_score is not None:
        val = keeper.best_model_score
    if isinstance(keeper, ModelCheckpoint) and not best:
        # Training ended before its first validation, by max_steps or max_time: what it has reached is its best.
        validated = trainer.validate(module, datamodule=data, verbose=False)
        val = validated[0].get("val/bits_per_dim") if validated else None
        best = str(run_dir / runs.CHECKPOINTS / checkpoint.BEST)
        trainer.save_checkpoint(best)
    if best:
        density, _ = checkpoint.load_with_config(best)
        module.density.load_state_dict(density.state_dict())
    tested = trainer.test(module, datamodule=data, verbose=False)
    bits = tested[0].get("test/bits_per_dim") if tested else None
    if bits is not None and not math.isfinite(bits):
        raise UserError(
            f"test bits/dim: {bits}: the weights have gone wrong; lower optimizer.lr, optimizer.weight_decay or "
            "trainer.gradient_clip_val"
        )
    if not trainer.is_global_zero:
        return None
    metrics = results.metrics(
        config,
        module.density,
        data,
        test=bits,
        val=None if val is None else float(val),
        epochs=trainer.current_epoch,
        seconds=throughput.seconds,
        precision=str(trainer.precision),
        images_per_second=throughput.images_per_second,
        skipped=next(each.skipped for each in trainer.callbacks if isinstance(each, FiniteSteps)),  # type: ignore[attr-defined]
        best=os.path.relpath(best, run_dir) if best else None,
    )
    results.write(run_dir, config, metrics, module.density, data, trainer.logger)
    command.SHOWN.info(f"finished: {runs.summary(metrics)}")
    get_console().print(results.table(metrics, run_dir))
    return None if val is None else float(val)


if __name__ == "__main__":
    main()
