"""Tensors on two devices are found without a GPU: torch's FakeTensorMode gives tensors on "cuda" that hold no values.

The forward pass, a row of the sampler and the judge of ties run with them, over every network. Values cannot be looked
at, so what depends on them is left out. A fake GPU without float64 stands for Apple's.
"""

from __future__ import annotations

import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from conformance import CASES, given, images
from pixelcnn_lit.any_order import AnyOrder
from pixelcnn_lit.device import WITHOUT_FLOAT64, in_double, widest
from pixelcnn_lit.factory import build_density
from pixelcnn_lit.metrics import BitsPerDim, CodeUse, SquaredError
from pixelcnn_lit.orders import ManyOrders
from pixelcnn_lit.sampling import draw
from pixelcnn_lit.sampling.conditionals import Given, InRankOrder
from pixelcnn_lit.sampling.draw import Draw, RowDrawer

NAMES = {
    *("pixelcnn-colour-classes", "gated-grey-classes", "pp-mixture-colour-classes", "snail-mixture-256-colour"),
    *("lmconv-mixture-2-orders-grey", "gated-codes", "pp-small", "pixelcnn-2-orders-colour"),
}
OURS = [case for case in CASES if case.name in NAMES]
"""Each network, likelihood and kind of context once: a fake tensor costs ten times a small real one."""
over_networks = pytest.mark.parametrize("case", OURS, ids=[case.name for case in OURS])
CUDA = torch.device("cuda", 0)


def on_cuda(mode, case, dtype=torch.float32, device="cuda"):
    """A density, images, and what they are given, on a GPU that is not there."""

    def moved(tensor):
        fake = mode.from_tensor(tensor).to(device)
        return fake.to(dtype) if fake.is_floating_point() else fake

    density, x = build_density(case.config()), images(case, 2)
    what = Given(*(None if each is None else moved(each) for each in given(case, density, 2)))
    for module in density.modules():
        for name, parameter in module._parameters.items():
            module._parameters[name] = parameter if parameter is None else nn.Parameter(moved(parameter))
        for name, buffer in module._buffers.items():
            module._buffers[name] = buffer if buffer is None else moved(buffer)
    return density, moved(x), what


@over_networks
def test_the_forward_pass_stays_on_one_device(case):
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        density, x, what = on_cuda(mode, case)
        model, of_model = raster(density.train(), x, what)
        assert model(x, *of_model).device == CUDA


def raster(density, x, what):
    """The conditionals that a raster sampler walks over, and their images and classes."""
    if isinstance(density, AnyOrder):
        ranks = density.scans[-1].ranks(*x.shape[2:], CUDA).expand(len(x), -1, -1)
        return InRankOrder(ranks, density.network, density.likelihood, *rest(density)), what
    if isinstance(density, ManyOrders):
        return density.raster(), density._labelled(what, x, x.new_zeros(len(x)).long())
    return density, what


def rest(density):
    return density.n_classes, density.context_shape, density.inputs


@over_networks
def test_a_row_of_the_sampler_and_the_judge_of_ties_stay_on_one_device(case, monkeypatch):
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad():
        density, x, what = on_cuda(mode, case)
        model, of_model = raster(density.eval(), x, what)
        judge = raster(on_cuda(mode, case, torch.float64)[0].eval(), x, what)[0]
        noise = torch.zeros(len(x), x.shape[1] * x.shape[3], case.levels, device="cuda")
        # A generator of a GPU cannot be made without one.
        silent = SimpleNamespace(row=noise, next_row=lambda: None)
        monkeypatch.setattr(draw, "GumbelNoise", lambda *args, **options: silent)
        known = torch.ones(len(x), *x.shape[2:], dtype=torch.bool, device="cuda")
        for method, mask, start in (("cached", None, 0), ("cached", known, 1), ("naive", None, 0)):
            rows = RowDrawer(model, x, mask, of_model, Draw(0, method=method), start)
            rows._conditionals.start_row(start)
            rows._pick_from()
            assert rows._row.device == CUDA
            rows._ties._double = judge
            assert rows._ties.levels([1], start, 1, 0, noise[[1], 0]).device == CUDA


def test_a_tensor_on_another_device_is_found():
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        density, x, what = on_cuda(mode, OURS[0])
        density.network.blocks[0].conv.bias = nn.Parameter(mode.from_tensor(torch.zeros(6)))
        with pytest.raises(RuntimeError, match="device"):
            density.train()(x, *what)


class WithoutFloat64(TorchDispatchMode):
    """A GPU on which each operation with a result in float64 fails."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, torch.Tensor) and tensor.dtype == torch.float64 and tensor.device.type != "cpu":
                raise TypeError(f"{func} gives float64 on {tensor.device}")
        return result


@pytest.fixture
def without_float64():
    """A GPU that is not there, and has no float64."""
    WITHOUT_FLOAT64.update(("cuda", "meta"))
    yield
    WITHOUT_FLOAT64.difference_update(("cuda", "meta"))


def test_float64_on_such_a_gpu_is_found():
    with WithoutFloat64(), pytest.raises(TypeError, match="gives float64"):
        torch.zeros(3, device="meta").double()


def test_nothing_is_in_float64_on_a_gpu_that_has_none(without_float64, monkeypatch):
    (case,) = [case for case in OURS if case.name == "pixelcnn-colour-classes"]
    with FakeTensorMode(allow_non_fake_inputs=True) as mode, torch.no_grad(), WithoutFloat64():
        density, x, what = on_cuda(mode, case)
        model, of_model = raster(density.eval(), x, what)
        judge = raster(on_cuda(mode, case, torch.float64, "cpu")[0].eval(), x.cpu(), what)[0]
        noise = torch.zeros(len(x), x.shape[1] * x.shape[3], case.levels, device="cuda")
        monkeypatch.setattr(draw, "GumbelNoise", lambda *args, **options: SimpleNamespace(row=noise))
        rows = RowDrawer(model, x, None, of_model, Draw(0), 0)
        rows._ties._double = judge
        assert rows._ties.levels([1], 0, 1, 0, noise[[1], 0]).device == CUDA
        nats = density(x, *what)
        assert (nats.sum(dtype=widest(CUDA)).device, in_double(nats).device.type) == (CUDA, "cpu")
        monkeypatch.setattr(density, "_nats_of_classes", lambda *_: nats.expand(case.classes, *nats.shape))
        assert density.nats(x).device == CUDA


def test_the_ranks_of_a_copy_move_with_its_network():
    (case,) = [case for case in OURS if case.name == "lmconv-mixture-2-orders-grey"]
    density = build_density(case.config())
    ranks = density.scans[-1].ranks(*case.size).expand(2, -1, -1)
    model = InRankOrder(ranks, density.network, density.likelihood, *rest(density))
    assert copy.deepcopy(model).to("meta").of([1]).ranks.device.type == "meta"
    assert "ranks" not in model.state_dict()


def dtype_of(result):
    return result[0].dtype if isinstance(result, tuple) else result.dtype


def test_metrics_are_in_float32_there_and_in_float64_elsewhere(without_float64):
    nats, codes = torch.rand(4, 1, 3, 3), torch.tensor([0, 0, 3])
    for metric, batch in ((BitsPerDim(), [nats]), (SquaredError(), [nats, nats / 2]), (CodeUse(8), [codes])):
        metric.update(*batch)
        assert dtype_of(metric.compute()) == torch.float64
        with WithoutFloat64():
            metric.to("meta")
            if not isinstance(metric, CodeUse):  # which counts, and "meta" cannot
                metric.update(*(part.to("meta") for part in batch))
            assert dtype_of(metric.compute()) == torch.float32
