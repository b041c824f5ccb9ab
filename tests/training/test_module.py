from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import pytorch_lightning as pl
import torch

from helpers.builders import tiny_density
from pixelcnn_lit.config import compose
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.data.images import BatchIndices
from pixelcnn_lit.device import fast_precision
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.sampling.conditionals import mean_nats
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.training.base import learning_rate_schedule
from pixelcnn_lit.training.module import LitDensity
from pixelcnn_lit.training.run import Run

OVERRIDES = [
    *("model.n_res=1", "model.hidden=4", "data.levels=4", "data.source=torchvision", "logger=none"),
    *("trainer.max_steps=1", "trainer.enable_checkpointing=false", "trainer.accelerator=cpu"),
]


class Alone:
    """The Trainer of a step of one process, with all images in one batch."""

    world_size = accumulate_grad_batches = num_training_batches = 1
    is_global_zero = True

    def __init__(self, images):
        self.train_dataloader = SimpleNamespace(sampler=BatchIndices(images, images))


def alone(density, images, *overrides):
    """A module that takes training steps of ``images`` images without a Trainer."""
    module = LitDensity(density, compose(overrides))
    module.log = lambda *args, **kwargs: None
    module._trainer = Alone(images)
    return module


def optimizer_config(*overrides):
    return compose(overrides).optimizer


def test_the_loss_is_the_nats_per_dimension():
    density = tiny_density(4)
    module = alone(density, 5)
    x = torch.randint(0, 4, (5, 1, 3, 3), dtype=torch.uint8)
    loss = module.training_step((x, torch.zeros(5)), 0)
    assert loss.item() == pytest.approx(density.bits_per_dim(x).mean().item() * math.log(2), rel=1e-5)


def test_the_loss_of_drawn_images_is_the_mean_over_their_draw():
    density = tiny_density(2)
    x, chances = torch.randint(0, 2, (5, 1, 3, 3), dtype=torch.uint8), torch.rand(5, 1, 3, 3)
    loss = alone(density, 5).training_step((x, torch.zeros(5), None, chances), 0)
    expected = mean_nats(density.nats_of_both(x), chances).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert expected.item() != pytest.approx(density.nats(x).mean().item(), rel=1e-3)


@pytest.mark.parametrize(("given", "kept"), [((), ("2", "10")), (("b", "a"), ("b", "a"))])
def test_a_trainer_of_ones_own_writes_class_names_into_checkpoints_too(given, kept):
    """Without them, the file would be taken for one that is older than names, and its folders numbered as text."""
    config = compose(["data=images", "data.path=x", "data.size=8", "data.n_classes=2"])
    module = LitDensity(tiny_density(4, n_classes=2), config)
    module.density.class_names = given
    data = ImageDataModule(config.data, 0)
    data.class_names = ("2", "10")
    module.trainer = SimpleNamespace(datamodule=data)
    module.setup("fit")
    written = {}
    module.on_save_checkpoint(written)
    assert tuple(written[checkpoint.KEY]["class_names"]) == kept


def test_cosine_warms_up_and_ends_at_zero():
    factor = learning_rate_schedule(optimizer_config("optimizer.warmup_steps=9"), 100)
    assert factor(0) == pytest.approx(0.1)
    assert factor(9) == pytest.approx((1 + math.cos(math.pi * 0.09)) / 2)
    assert factor(50) == pytest.approx(0.5)
    assert factor(100) == pytest.approx(0)
    assert factor(101) == pytest.approx(0)


def test_exponential_is_the_articles_decay():
    factor = learning_rate_schedule(optimizer_config("optimizer=adam_exponential"), math.inf)
    assert factor(0) == 1
    assert factor(1000) == pytest.approx(0.999995**1000)


def test_constant_stays():
    factor = learning_rate_schedule(
        optimizer_config("optimizer.schedule=constant", "optimizer.warmup_steps=0"), math.inf
    )
    assert factor(0) == factor(10**6) == 1


def test_cosine_needs_an_end():
    with pytest.raises(UserError, match="needs an end"):
        learning_rate_schedule(optimizer_config(), math.inf)


@pytest.mark.parametrize("network", ["pixelcnn", "gated_pixelcnn", "pixelcnn_pp"])
def test_checkpointed_activations_change_neither_loss_nor_gradients(network):
    x, y = torch.randint(0, 4, (5, 1, 6, 6), dtype=torch.uint8), torch.zeros(5)
    results = []
    for checkpointed in ("false", "true"):
        density = tiny_density(4, n_res=2, size=(6, 6), network=network)
        module = alone(density, 5, f"trainer.checkpoint_activations={checkpointed}")
        loss = module.training_step((x, y), 0)
        loss.backward()
        drawn = density.sample(2, seed=0)
        results.append([loss.detach(), *(p.grad for p in density.parameters()), drawn])
    for kept, recomputed in zip(*results, strict=True):
        assert torch.equal(kept, recomputed)


def test_checkpointed_activations_are_not_kept():
    kept = []
    for checkpointed in ("false", "true"):
        density = tiny_density(4, n_res=8, hidden=8)
        module = alone(density, 5, f"trainer.checkpoint_activations={checkpointed}")
        sizes: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t, sizes=sizes: sizes.append(t.numel()) or t, lambda t: t):
            module.training_step((torch.zeros(5, 1, 9, 9, dtype=torch.uint8), torch.zeros(5)), 0)
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 2


def test_compile_is_for_the_training_step_alone(monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda f, **options: compiled.append((f, options)) or f)
    density = tiny_density(4)
    module = LitDensity(density, compose(["trainer=gpu"]))
    assert compiled == [(density.forward, {"mode": "reduce-overhead", "dynamic": False})]
    assert [name for name, _ in module.named_parameters()] == [f"density.{n}" for n, _ in density.named_parameters()]


@pytest.mark.parametrize(
    ("options", "expected"),
    [([], "bf16-mixed"), (["trainer.precision=32-true"], "32-true"), (["trainer=cpu"], "32-true")],
)
def test_precision_auto_trains_in_bfloat16_where_that_is_fast_and_evaluates_in_float32(
    options, expected, monkeypatch, mnist_dir, tmp_path
):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    config = compose([*OVERRIDES, *options, f"data.dir={mnist_dir}"])
    run = Run(config, tmp_path)
    module, trainer = run.module, run.trainer
    seen = []
    module.density.network.register_forward_hook(lambda *_: seen.append((module.training, _[2].dtype)))
    run.fit()
    assert trainer.precision == expected
    assert {dtype for training, dtype in seen if training} == {torch.bfloat16 if "bf16" in expected else torch.float32}
    # In bfloat16 too, to measure the gap.
    assert (False, torch.float32) in seen
    (optimizer,) = trainer.optimizers
    assert optimizer.defaults["fused"]


def test_hardware_without_bfloat16_trains_in_float32(monkeypatch):
    for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    assert fast_precision("cpu") == "32-true"


def test_accumulated_gradients_are_those_of_the_whole_batch(mnist_dir, tmp_path):
    weights = []
    # 44 training images: the last step of an epoch has 12, in batches of 16, or of 4, 4, 4.
    rate = ["optimizer.schedule=constant", "optimizer.warmup_steps=0", "trainer.gradient_clip_val=null", "seed=1"]
    for accumulated, size in ((1, 16), (4, 4)):
        options = [f"trainer.accumulate_grad_batches={accumulated}", f"data.batch_size={size}", "trainer=cpu", *rate]
        config = compose([*OVERRIDES, *options, f"data.dir={mnist_dir}", "trainer.max_steps=6"])
        run = Run(config, tmp_path / str(size))
        run.fit()
        weights.append(torch.cat([p.detach().flatten() for p in run.module.parameters()]))
    assert (weights[0] - weights[1]).abs().max() < 1e-6


def test_overfitting_takes_the_same_batches_in_each_epoch(mnist_dir, tmp_path):
    seen = []

    class Watch(pl.Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            seen.append(batch[0].clone())

    options = ["debug=overfit", "trainer.max_steps=-1", "trainer.max_epochs=3", f"data.dir={mnist_dir}"]
    Run(compose([*OVERRIDES, *options]), tmp_path, callbacks=[Watch()]).fit()
    assert len(seen) == 3
    assert all(torch.equal(batch, seen[0]) for batch in seen)
