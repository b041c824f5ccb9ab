"""What is trained is what is evaluated, or the run says otherwise."""

from __future__ import annotations

import json
import os
import signal

import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Timer

from helpers.builders import tiny_density
from helpers.running import TINY, ScriptedRun
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import Interrupted, UserError
from pixelcnn_lit.metrics import PRECISION_GAP
from pixelcnn_lit.nn.causal import CausalConv2d
from pixelcnn_lit.nn.vertical import VerticalConv2d
from pixelcnn_lit.training import precision
from pixelcnn_lit.training.run import Run

BFLOAT16 = ["trainer.precision=bf16-mixed", "trainer.max_epochs=2", "callbacks.early_stopping.patience=null"]


class Watch(pl.Callback):
    """The type of the network's output in each training step, and the gap after each validation."""

    def __init__(self):
        self.types, self.gaps = [], []

    def on_fit_start(self, trainer, pl_module):
        network = pl_module.density.network
        network.register_forward_hook(lambda net, inputs, out: self.types.append(out.dtype) if net.training else None)

    def on_validation_end(self, trainer, pl_module):
        self.gaps.append(trainer.callback_metrics.get(PRECISION_GAP))


@pytest.mark.parametrize(("end", "steps", "tail"), [([], 22, 4), (["trainer.max_steps=15"], 15, 3)])
def test_the_last_fifth_of_the_steps_is_in_float32(mnist_dir, tmp_path, end, steps, tail):
    watch = Watch()
    run = Run(compose([*TINY, f"data.dir={mnist_dir}", *BFLOAT16, *end]), tmp_path, callbacks=[watch])
    run.fit()
    assert watch.types == [torch.bfloat16] * (steps - tail) + [torch.float32] * tail
    assert run.trainer.precision == "bf16-mixed"
    assert 0 < abs(float(watch.gaps[0])) < 0.01
    if not end:
        assert float(watch.gaps[-1]) == 0
        return
    again = Run(run.config, tmp_path)
    again.fit()
    for ended in (run, again):  # the last step is validated after the training: here after no step at all, too
        assert ended.conclude().precision_gap == 0


class Clock(Timer):
    """A clock by which each training step takes a second."""

    def on_fit_start(self, trainer, *_):
        self.trainer = trainer
        super().on_fit_start(trainer)

    def time_elapsed(self, stage="train"):
        return float(self.trainer.global_step)


@pytest.mark.parametrize(("share", "bfloat16"), [(0.3, 7), (0, 10)])
def test_where_the_clock_ends_a_training_its_last_share_is_of_the_time(
    mnist_dir, tmp_path, monkeypatch, share, bfloat16
):
    watch = Watch()
    monkeypatch.setattr("pytorch_lightning.trainer.connectors.callback_connector.Timer", Clock)
    options = [*BFLOAT16, "trainer.max_epochs=1000", "trainer.max_time=00:00:00:10", f"trainer.float32_tail={share}"]
    Run(compose([*TINY, f"data.dir={mnist_dir}", *options]), tmp_path, callbacks=[watch]).fit()
    assert watch.types == [torch.bfloat16] * bfloat16 + [torch.float32] * (10 - bfloat16)


def test_a_run_that_is_concluded_again_says_the_same(mnist_dir, tmp_path):
    """As after a kill between the last step and the metrics."""
    options = [*BFLOAT16, "trainer.float32_tail=0", "trainer.limit_val_batches=2"]
    config = compose([*TINY, f"data.dir={mnist_dir}", *options])
    run = Run(config, tmp_path)
    run.fit()
    first = run.conclude()
    (tmp_path / "metrics.json").unlink()
    again = Run(config, tmp_path)
    again.fit()
    assert first.val_images > 0
    assert first.precision_gap not in (0, None)
    differ = {"date", "images_per_second", "train_seconds", "processor_seconds"}
    facts = [
        {key: value for key, value in each.as_json().items() if key not in differ} for each in (first, again.conclude())
    ]
    assert facts[0] == facts[1]


def test_a_run_that_resumes_in_its_last_steps_goes_on_in_float32(mnist_dir, tmp_path):
    config = compose([*TINY, f"data.dir={mnist_dir}", *BFLOAT16, "trainer.float32_tail=0.7"])
    before, after = Watch(), Watch()

    def terminate():
        os.kill(os.getpid(), signal.SIGTERM)

    run = ScriptedRun(config, tmp_path)
    with pytest.raises(Interrupted):
        run.go(10, terminate, more=[before])
    run.go(more=[after])
    assert before.types == [torch.bfloat16] * 7 + [torch.float32] * 4
    assert after.types == [torch.float32] * 12  # the step that the signal left unsaved is taken again


def test_a_large_gap_is_told_of_once_and_is_in_the_metrics(mnist_dir, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(precision, "LARGE_GAP", 1e-9)
    run = Run(compose([*TINY, f"data.dir={mnist_dir}", *BFLOAT16, "trainer.float32_tail=0"]), tmp_path)
    run.fit()
    run.conclude()
    told = [record for record in caplog.records if "evaluation in float32 gives" in record.message]
    assert len(told) == 1
    gap = json.loads((tmp_path / "metrics.json").read_text())["precision_gap"]
    assert gap == pytest.approx(run._gap.gap)
    assert gap != 0


@pytest.mark.parametrize("wish", ["bf16-true", "16-true", "transformer-engine", "half", 8])
def test_weights_of_lower_precision_are_refused(wish):
    with pytest.raises(UserError, match=rf"trainer.precision={wish}: must be auto or one of 32-true, bf16-mixed"):
        precision.choose(wish, "cpu")


def test_float16_on_a_cpu_is_refused_and_not_replaced():
    with pytest.raises(UserError, match="a CPU has no float16"):
        precision.choose("16-mixed", "cpu")
    assert precision.choose("16", "cuda") == "16-mixed"


@pytest.mark.parametrize("wish", ["bf16-mixed", "16-mixed", "64-true"])
def test_an_apple_gpu_trains_in_float32_alone(wish):
    with pytest.raises(UserError, match=rf"trainer.precision={wish}: on Apple's GPUs training is in 32-true"):
        precision.choose(wish, "mps")
    assert precision.choose("auto", "mps") == precision.choose(32, "mps") == "32-true"


@pytest.mark.parametrize("layer", [CausalConv2d(1, 8, 7, "A"), VerticalConv2d(1, 8, (3, 7), looks_at_image=True)])
def test_layers_that_see_the_image_are_exact_in_mixed_precision(layer):
    x = torch.rand(4, 1, 9, 9)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(layer(x), exact)


@pytest.fixture
def two_threads():
    """As a training has on two cores: a wrong kernel may be wrong with several threads alone, and the suite has one."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


KERNELS = {
    "dilated rows": VerticalConv2d(63, 126, (2, 3), dilation=2),
    "one dilated row": CausalConv2d(63, 126, (1, 3), "B", dilation=2),
    "not dilated": VerticalConv2d(63, 126, (2, 3)),
}


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("name", KERNELS)
def test_bfloat16_gradients_of_features_that_do_not_fill_a_block_are_those_of_float32(name):
    layer = KERNELS[name]
    x = torch.randn(4, 63, 8, 32).contiguous(memory_format=torch.channels_last).requires_grad_()
    upstream = torch.randn(4, 126, 8, 32).contiguous(memory_format=torch.channels_last)
    exact = torch.autograd.grad(layer(x), (layer.weight, x), upstream)
    for _ in range(5):
        with torch.autocast("cpu", torch.bfloat16):
            out = layer(x)
        for fast, slow in zip(torch.autograd.grad(out.float(), (layer.weight, x), upstream), exact, strict=True):
            assert fast.isfinite().all()
            assert (fast - slow).norm() < 0.01 * slow.norm()


@pytest.mark.soak
@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("batch", [1, 8, 64, 128])
@pytest.mark.parametrize("network", ["pixelcnn", "gated_pixelcnn", "pixelcnn_pp", "pixelsnail"])
def test_bfloat16_gradients_of_every_network_are_those_of_float32(network, batch, channels):
    """Of the network alone: the gradient of a mixture magnifies the rounding of its parameters without bound.

    A wrong kernel for dilated rows changes a gradient by a fifth or more, at a width of 32 and not of 28.
    """
    sizes = {"gated_pixelcnn": {"dilations": [1, 2]}, "pixelcnn_pp": {"n_mix": 5}}.get(network, {})
    density = tiny_density(256, channels=channels, size=(32, 32), network=network, hidden=63, n_res=2, **sizes)
    n_params = density.likelihood.n_params(channels)
    for step in range(5 if batch < 64 else 2):
        x, upstream = torch.rand(batch, channels, 32, 32), torch.randn(batch, n_params, 32, 32)
        grads = []
        for enabled in (False, True):
            density.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
                out = density.network(x)
            out.float().backward(upstream)
            grads.append(torch.cat([p.grad.flatten() for p in density.parameters()]))
        assert grads[1].isfinite().all(), step
        assert (grads[0] - grads[1]).norm() < 0.1 * grads[0].norm(), step


def test_a_gpu_without_bfloat16_trains_in_float32_and_a_line_says_so(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for has, chosen in ((True, "bf16-mixed"), (False, "32-true")):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True, has=has: has)
        assert precision.choose("bf16-mixed", "cuda") == precision.choose("auto", "cuda") == chosen
        said = "trainer.precision=bf16-mixed: this GPU has no bfloat16, so training is in 32-true"
        assert (said in capsys.readouterr().out) == (not has)
