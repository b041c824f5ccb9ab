"""Every property of a density, over every network, likelihood and plug-in: the list is in conformance.py."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from conformance import CASES, EXAMPLES, Case, dependence, given, images, spread_density
from helpers.builders import all_images
from pixelcnn_lit import load
from pixelcnn_lit.analysis import codec
from pixelcnn_lit.analysis.export import export
from pixelcnn_lit.config import ExportConfig, TrainConfig
from pixelcnn_lit.config.likelihood import LIKELIHOODS
from pixelcnn_lit.config.model import NETWORKS
from pixelcnn_lit.density import Density
from pixelcnn_lit.sampling import draw
from pixelcnn_lit.sampling.conditionals import CachedConditionals, Given
from pixelcnn_lit.storage import checkpoint
from pixelcnn_lit.training.module import checkpoint_activations
from pixelcnn_lit.training.run import Run

OTHER_SIZES = [(1, 1), (1, 5), (5, 2)]


def over(cases: list[Case]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


every_case = over(CASES)
of_one_order = over([case for case in CASES if case.orders == 1])


@pytest.fixture(scope="module")
def configs() -> Iterator[dict[str, TrainConfig]]:
    """The config of each case. Its plug-ins are registered while this module runs, and no longer."""
    with pytest.MonkeyPatch.context() as patch:
        for parts in (NETWORKS, LIKELIHOODS):
            patch.setattr(parts, "_parts", dict(parts._parts))
        for folder in {case.folder for case in CASES if case.folder}:
            patch.syspath_prepend(EXAMPLES / folder)
            for path in (EXAMPLES / folder).glob("*.py"):
                patch.delitem(sys.modules, path.stem, raising=False)
        yield {case.name: case.config() for case in CASES}
        for folder in {case.folder for case in CASES if case.folder}:
            for path in (EXAMPLES / folder).glob("*.py"):
                sys.modules.pop(path.stem, None)


@pytest.fixture
def config(case: Case, configs: dict[str, TrainConfig]) -> TrainConfig:
    return configs[case.name]


@pytest.fixture
def density(config: TrainConfig, device: torch.device) -> Density:
    return spread_density(config).to(device)


def some(case: Case, density: Density, n: int, size: tuple[int, int] | None = None) -> tuple[torch.Tensor, Given]:
    """Images, and what they are given, on the device."""
    size = case.size if size is None else case.fitting(size)
    return images(case, n, size).to(density.device), given(case, density, n, size)


def drawn(density: Density, n: int, seed: int, given: Given, **how) -> torch.Tensor:
    return density.sample(n, seed, given.y, context=given.context, **how)


def test_every_network_and_likelihood_of_the_package_is_in_the_list(configs):
    assert {config.model.name for config in configs.values()} == set(NETWORKS.names())
    assert {config.likelihood.name for config in configs.values()} == set(LIKELIHOODS.names())


@over([case for case in CASES if case.enumerable_shape()])
def test_probabilities_of_all_images_sum_to_one(case, density, device):
    x = all_images(case.levels, case.enumerable_shape()).to(device)
    with torch.no_grad():
        context = given(case, density, 1, case.enumerable_shape()[1:]).context
        for y in [*range(case.classes or 0), None]:
            assert density.log_prob(x, y, context).double().exp().sum().item() == pytest.approx(1, abs=1e-5)


@of_one_order
def test_log_prob_is_the_sum_of_the_conditionals_that_logits_gives(case, density, device):
    x, what = some(case, density, 3)
    with torch.no_grad():
        chosen = density.logits(x, *what).log_softmax(1).gather(1, x.long()[:, None])[:, 0]
        exact = -density(x, *what)
        torch.testing.assert_close(density.log_prob(x, *what), exact.flatten(1).sum(1))
    likely = exact > -80  # float32 has no smaller probabilities, and logits are those of probabilities
    torch.testing.assert_close(chosen[likely], exact[likely], rtol=1e-4, atol=1e-3)


def costs(
    density: Density, x: torch.Tensor, y: int | None, context: torch.Tensor | None, place: tuple[int, int, int]
) -> torch.Tensor:
    """Nats of each level at a place of images, all in one batch: (levels, N)."""
    others = x.expand(density.levels, *x.shape).clone()
    others[:, :, *place] = torch.arange(density.levels, device=x.device)[:, None]
    contexts = None if context is None else context.repeat(density.levels, 1, 1, 1)
    return density.nats(others.flatten(0, 1), y, contexts)[:, *place].unflatten(0, (density.levels, len(x)))


@of_one_order
def test_nats_are_those_of_each_conditional_and_entropies_their_means(case, density, device):
    x, (_, context) = some(case, density, 2)
    channels, height, width = x.shape[1:]
    with torch.no_grad():
        for y in [*range(case.classes or 0), None][-2:]:
            nats, entropy = density.nats(x, y, context), density.entropy(x, y, context)
            torch.testing.assert_close(nats.flatten(1).sum(1), -density.log_prob(x, y, context), rtol=1e-5, atol=1e-4)
            # At a few places: what each level would have cost there, given the same dimensions before it.
            for place in ((0, 0, 0), (channels - 1, 1, width - 1), (0, height - 1, 1)):
                each = costs(density, x, y, context, place).double()
                assert each.neg().exp().sum(0).tolist() == pytest.approx([1, 1], abs=1e-5)
                expected = (each.neg().exp() * each).sum(0)
                torch.testing.assert_close(entropy[:, *place].double(), expected, atol=1e-4, rtol=1e-4)


@every_case
def test_parameters_depend_on_earlier_pixels_and_channels_alone(case, density, device):
    x, what = some(case, density, 8, (3, 3))
    seen = dependence(density.double(), x, what) > 0
    assert not seen.triu().any()
    a_pixel = len(seen) // 9
    assert seen[a_pixel : 2 * a_pixel, :a_pixel].any(), "the second pixel does not see the first"
    assert seen[3 * a_pixel : 4 * a_pixel, :a_pixel].any(), "the second row does not see the first"
    if a_pixel > 1:
        assert seen[1:a_pixel, 0].all(), "a channel does not see the first one"


@over([case for case in CASES if case.context])
def test_every_pixel_sees_places_of_the_context_before_and_after_it(case, density, device):
    x, (y, context) = some(case, density, 8)
    context.requires_grad_()
    params = density.network(density.normalise(x), **density.given(y, context))
    last = context.shape[2] - 1, context.shape[3] - 1
    for (row, column), (at_row, at_column) in (((0, 0), last), ((x.shape[2] - 1, x.shape[3] - 1), (0, 0))):
        (seen,) = torch.autograd.grad(params[:, :, row, column].abs().sum(), context, retain_graph=True)
        assert seen[:, :, at_row, at_column].abs().sum() > 0


@over([case for case in CASES if case.context])
def test_the_context_changes_the_density_and_is_needed(case, density, device):
    x, (y, context) = some(case, density, 3)
    with torch.no_grad():
        assert (density.log_prob(x, y, context) - density.log_prob(x, y, 1 - context)).abs().max() > 1e-3
        one_for_all = density.log_prob(x, y, context[:1].expand_as(context))
        torch.testing.assert_close(density.log_prob(x, y, context[:1]), one_for_all)
    with pytest.raises(ValueError, match="given a context"):
        density.log_prob(x, y)
    with pytest.raises(ValueError, match="context must be"):
        density.log_prob(x, y, context[:2])


@every_case
def test_conditionals_do_not_change_with_later_levels(case, density, device):
    """The likelihood's share too, which gradients do not see: levels are integers."""
    density.double()
    x, what = some(case, density, 1, (2, 3))
    height, width = x.shape[2:]
    order = x.permute(0, 2, 3, 1).flatten()
    places = torch.arange(len(order), device=device)
    changed = torch.where(places[None] >= places[:, None], case.levels - 1 - order, order)  # all from each place on
    changed = changed.view(-1, height, width, case.channels).permute(0, 3, 1, 2)
    with torch.no_grad():
        before = density.logits(x, *what).permute(0, 3, 4, 2, 1).flatten(1, 3)[0]
        after = density.logits(changed, *what.of([0] * len(changed)))
    after = after.permute(0, 3, 4, 2, 1).flatten(1, 3)
    for place in places.tolist():
        torch.testing.assert_close(after[place, : place + 1], before[: place + 1])


@every_case
def test_cached_samples_equal_naive_samples(case, density, device):
    _, what = some(case, density, 3)
    for temperature in (1.0, 0.0):
        cached, naive = (
            drawn(density, 3, 5, what, temperature=temperature, method=method) for method in ("cached", "naive")
        )
        assert torch.equal(cached, naive)
        assert temperature == 0 or cached.unique().numel() > 1, "the case draws one level alone, and shows nothing"


@every_case
def test_cached_completions_equal_naive_ones_and_keep_what_is_known(case, density, device):
    x, what = some(case, density, 3)
    scattered = torch.rand((3, *case.size), generator=torch.Generator().manual_seed(2)) < 0.5
    top = (torch.arange(case.size[0]) < 2)[:, None].expand(case.size)
    for known in (scattered.to(device), top.to(device)):
        cached, naive = (
            density.complete(x, known, 3, what.y, context=what.context, method=method) for method in ("cached", "naive")
        )
        assert torch.equal(cached, naive)
        kept = known.expand(3, *case.size)[:, None].expand_as(x)
        assert torch.equal(cached[kept], x[kept])


@every_case
def test_recorded_samples_equal_unrecorded_ones(case, density, device, monkeypatch):
    played = []
    name = "CudaGraph" if device.type == "cuda" else "Recording"

    class Counted(getattr(draw, name)):
        def play(self):
            played.append(self)
            super().play()

    monkeypatch.setattr(draw, name, Counted)
    unlabelled = given(case, density, 3)._replace(y=None)
    recorded = drawn(density, 3, 5, unlabelled)
    assert played or case.folder, "no row was played from a recording"
    played.clear()
    monkeypatch.setattr(CachedConditionals, "recordable", False)
    assert torch.equal(recorded, drawn(density, 3, 5, unlabelled))
    assert not played


@every_case
def test_checkpointed_activations_change_neither_loss_nor_gradients(case, density, device):
    x, what = some(case, density, 4)
    results = []
    for checkpointed in (False, True):
        trained = copy.deepcopy(density).train()
        if checkpointed:
            checkpoint_activations(trained.network)
        torch.manual_seed(3)
        loss = trained(x, *what).mean()
        loss.backward()
        results.append([loss.detach(), *(p.grad for p in trained.parameters())])
    for kept, recomputed in zip(*results, strict=True):
        assert kept is not None
        torch.testing.assert_close(recomputed, kept, rtol=0, atol=0 if device.type == "cpu" else 1e-6)


@over([case for case in CASES if case.classes])
def test_without_its_class_a_density_is_the_mean_over_the_classes_and_classes_matter(case, density, device):
    x, (_, context) = some(case, density, 6, (2, 2))
    with torch.no_grad():
        each = torch.stack([density.log_prob(x, y, context) for y in range(case.classes)], dim=1)
        torch.testing.assert_close(density.class_log_probs(x, context), each)
        components = density.component_log_probs(x, context)
        assert components.shape[:2] == (6, case.classes)
        torch.testing.assert_close(components.logsumexp(2) - math.log(components.shape[2]), each)
        # Of logarithms: the probabilities of some images are too small for a difference to show.
        torch.testing.assert_close(density.log_prob(x, None, context), each.logsumexp(1) - math.log(case.classes))
    assert (each[:, 0] - each[:, 1]).abs().max() > 1e-2


@every_case
def test_float64_agrees_with_float32(case, density, device):
    x, what = some(case, density, 3)
    with torch.no_grad():
        single, double = density.log_prob(x, *what), copy.deepcopy(density).double().log_prob(x, *what)
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=1e-4, atol=1e-3)


@every_case
def test_a_model_in_bfloat16_draws_levels(case, density, device):
    x = drawn(density.bfloat16(), 4, 0, given(case, density, 4))
    assert x.dtype == images(case, 1).dtype
    assert int(x.max()) < case.levels
    assert x.unique().numel() > 1


@every_case
def test_a_state_dict_a_checkpoint_and_an_export_give_the_same_density(case, config, density, device, tmp_path):
    x, what = some(case, density, 3)
    with torch.no_grad():
        expected = density.log_prob(x, *what)
    other = spread_density(config).to(device)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    other.load_state_dict(density.state_dict())
    state = {checkpoint.PREFIX + name: weight.cpu() for name, weight in density.state_dict().items()}
    ckpt, out = tmp_path / "model.ckpt", tmp_path / "model.safetensors"
    checkpoint.write(ckpt, {"state_dict": state, checkpoint.KEY: checkpoint.header(config)})
    export(ExportConfig(ckpt=str(ckpt), out=str(out), plugins=[]))
    for again in (other, load(ckpt).to(device), load(out).to(device), copy.deepcopy(density)):
        with torch.no_grad():
            assert torch.equal(again.log_prob(x, *what), expected)


@every_case
def test_a_deep_copy_shares_no_weights(case, density, device):
    x, what = some(case, density, 2)
    with torch.no_grad():
        before = density.log_prob(x, *what)
        for parameter in copy.deepcopy(density).parameters():
            parameter.zero_()
        assert torch.equal(density.log_prob(x, *what), before)


@every_case
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_sampling_leaves_the_mode_of_every_module_as_it_was(case, density, training):
    drawn(density.train(training), 1, 0, given(case, density, 1, (2, 2)))
    assert {module.training for module in density.modules()} == {training}


@every_case
def test_the_log_prob_of_a_batch_is_that_of_each_image_alone(case, density, device):
    x, what = some(case, density, 4)
    with torch.no_grad():
        alone = [density.log_prob(x[i : i + 1], *what.of([i])) for i in range(4)]
        torch.testing.assert_close(density.log_prob(x, *what), torch.cat(alone), rtol=1e-5, atol=1e-4)


@every_case
@pytest.mark.parametrize("size", OTHER_SIZES, ids=str)
def test_images_may_have_other_sizes(case, density, device, size):
    size = case.fitting(size)
    _, what = some(case, density, 2, size)
    cached, naive = (drawn(density, 2, 1, what, size=size, method=method) for method in ("cached", "naive"))
    assert cached.shape == (2, case.channels, *size)
    assert torch.equal(cached, naive)
    with torch.no_grad():
        assert density.log_prob(cached, *what).isfinite().all()


@over([case for case in CASES if case.trains])
def test_a_training_of_two_steps_is_resumed_and_concluded(case, configs, device, tmp_path):
    generator = np.random.default_rng(0)
    shape = (24, *case.size, case.channels) if case.channels > 1 else (24, *case.size)
    parts = {part: generator.integers(0, 256, shape, dtype=np.uint8) for part in ("x_train", "x_test")}
    labels = {part: np.arange(24) % (case.classes or 1) for part in ("y_train", "y_test")}
    np.savez(tmp_path / "images.npz", **parts, **(labels if case.classes else {}))
    options = [
        f"data.path={tmp_path / 'images.npz'}",
        "data.batch_size=4",
        "logger=none",
        "optimizer.schedule=constant",
    ]
    options += [f"trainer.accelerator={device.type}", "trainer.precision=32-true", "trainer.limit_val_batches=1"]
    for steps in (2, 4):
        run = Run(case.config([*options, f"trainer.max_steps={steps}"]), tmp_path / "run")
        run.fit()
        assert run.trainer.global_step == steps
    metrics = run.conclude()
    assert np.isfinite(metrics.test)
    assert (tmp_path / "run" / "metrics.json").exists()


@over([case for case in CASES if case.context is None and not case.codes])
def test_images_are_coded_in_the_bits_of_their_best_class_and_scan_and_come_back(case, density, device):
    """Those of two sizes, since one turned by columns has another size then."""
    coder = codec.in_double(density)
    for size in ((4, 3), (3, 3)):
        x = images(case, 6, size).to(device)
        block, log_prob = codec.encode(coder, x, 4)
        torch.testing.assert_close(log_prob, coder.log_prob(x))
        assert torch.equal(codec.decode(coder, block, tuple(x.shape), 6), x)
        of_labels, count = codec.label_log_probs(coder, x, 4), (case.classes or 1) * len(coder.scans)
        assert of_labels.shape == (6, count)
        bits = (math.log2(count) - of_labels.max(1).values / math.log(2)).sum().item()
        of_mixture = -log_prob.sum().item() / math.log(2)
        assert of_mixture - 1e-9 <= bits <= of_mixture + 6 * math.log2(count) + 1e-9
        # Rounding costs little, and the end of the coder 64 bits.
        assert 8 * len(block.payload) < bits + 0.002 * x.numel() + 64
