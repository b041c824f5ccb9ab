"""A Trainer of your own: the model is a LightningModule and the data a LightningDataModule, so any Lightning code fits.

    python plain_lightning.py

What ``Run`` adds is then yours to add: resuming, the best checkpoint, averaged weights, curves, pictures, metrics.json.
"""

from __future__ import annotations

import pytorch_lightning as pl

import pixelcnn_lit
from pixelcnn_lit import compose
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.training.module import LitDensity
from pixelcnn_lit.training.resume import WholeCheckpoints

# The module takes its optimiser from the config; the config's own section `trainer` is not asked here.
config = compose(
    [
        "data=digits",
        "data.levels=2",
        "data.batch_size=32",
        "model.n_res=1",
        "model.hidden=8",
        "optimizer.schedule=constant",
    ]
)


def main() -> None:
    pl.seed_everything(config.seed, verbose=False)
    data = ImageDataModule(config.data, config.seed)
    density = build_density(config)
    module = LitDensity(density, config)  # batches begin with levels and labels; the loss is nats per dimension

    trainer = pl.Trainer(
        accelerator="cpu",
        max_steps=20,
        limit_val_batches=2,
        limit_test_batches=2,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        plugins=[WholeCheckpoints()],  # checkpoints with a checksum, which pixelcnn_lit.load asks for
    )
    # Networks that scale their layers on a first batch, such as pixelcnn_pp, do so here.
    module.initialise(next(iter(data.loader("train", shuffle=True))))
    trainer.fit(module, datamodule=data)
    trainer.test(module, datamodule=data)

    trainer.save_checkpoint("plain.ckpt")
    print(pixelcnn_lit.load("plain.ckpt").sample(4, seed=0).shape)


if __name__ == "__main__":
    main()
