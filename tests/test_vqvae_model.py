"""Images through codes: the priors are exact, and samples are those of the priors."""

from __future__ import annotations

import math
from collections import Counter
from itertools import product

import pytest
import torch
from scipy.stats import chisquare

from pixelcnn_lit.autoencoder.autoencoder import Autoencoder
from pixelcnn_lit.config import compose, compose_vqvae
from pixelcnn_lit.factory import build_autoencoder, build_density
from pixelcnn_lit.nn.context import one_hot
from pixelcnn_lit.vqvae_model import VQVAE

CODES = 3
NETWORKS = {
    "top": ["model=pixelsnail", "model.n_blocks=1", "model.n_res=1", "model.hidden=6", "model.key_size=2"],
    "bottom": ["model=gated_pixelcnn", "model.n_res=1", "model.hidden=6", "context=codes", "context.features=4"],
}


def prior(level, size, factor, n_classes=None):
    shown = f"[1,{size[0]},{size[1]}]"
    data = ["data=codes", "data.ckpt=x", f"data.level={level}", f"data.levels={CODES}", f"data.image_shape={shown}"]
    known = [f"data.n_classes={n_classes or 0}", f"data.factor={factor}", "data.embedding=4"]
    known += [f"model.n_classes={n_classes or 'null'}"]
    density = build_density(compose([*data, *known, *NETWORKS[level]])).eval()
    for parameter in density.parameters():
        torch.nn.init.normal_(parameter, std=0.6)
    return density


def tiny_vqvae(classes_top=None, classes_bottom=None):
    """Codes of 1x1 above codes of 2x2, three of each: 3^5 pairs of maps."""
    torch.manual_seed(0)
    sizes = ["autoencoder.downsampling=[2,2]", "autoencoder.hidden=6", "autoencoder.res_hidden=3"]
    codes = [f"autoencoder.n_codes={CODES}", "autoencoder.code_size=4"]
    config = compose_vqvae(["data=npz", "data.path=x", "data.image_shape=[1,4,4]", "data.levels=8", *sizes, *codes])
    autoencoder = build_autoencoder(config)
    autoencoder.initialise(torch.randint(8, (40, 1, 4, 4)))
    priors = {"top": prior("top", (1, 1), "null", classes_top), "bottom": prior("bottom", (2, 2), 2, classes_bottom)}
    return VQVAE(autoencoder.eval(), priors)


@pytest.fixture(scope="module")
def tiny():
    return tiny_vqvae()


def every():
    """All maps of codes."""
    numbers = torch.tensor(list(product(range(CODES), repeat=5)), dtype=torch.uint8)
    return numbers[:, :1].view(-1, 1, 1, 1), numbers[:, 1:].view(-1, 1, 2, 2)


def test_the_probabilities_of_all_codes_sum_to_one(tiny):
    assert tiny.log_prob(every()).double().exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_codes_are_drawn_as_often_as_they_are_probable(tiny):
    n = 6000
    assert_drawn_as_probable(tiny, tiny.sample_codes(n, seed=1), tiny.log_prob(every()))


def test_an_image_has_one_class_whose_codes_are_those_of_all_levels():
    """Drawn without a class, the codes are of the mixture of classes, of an image's own class at each level."""
    vq = tiny_vqvae(2, 2)
    joint = torch.stack([vq.log_prob(every(), y) for y in (0, 1)])
    mixture = joint.logsumexp(0) - math.log(2)
    torch.testing.assert_close(vq.log_prob(every()), mixture)
    parts = {name: codes.log_prob for name, codes in vq.priors.items()}
    top, bottom = every()
    apart = parts["top"](top) + parts["bottom"](bottom, context=one_hot(top, CODES))
    assert (apart - mixture).abs().max() > 0.1, "else this test says nothing"
    assert_drawn_as_probable(vq, vq.sample_codes(6000, seed=2), mixture)
    assert_drawn_as_probable(vq, vq.sample_codes(6000, seed=3, y=1), joint[1])


@pytest.mark.parametrize("which", ["top", "bottom"])
def test_a_class_reaches_the_priors_that_know_it(which):
    vq = tiny_vqvae(**{f"classes_{which}": 2})
    assert vq.n_classes == 2
    assert_drawn_as_probable(vq, vq.sample_codes(6000, seed=2, y=0), vq.log_prob(every(), 0))
    assert vq.log_prob(every()).double().exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_a_class_that_no_prior_knows_is_refused(tiny):
    for ask in (lambda: tiny.sample(2, y=1), lambda: tiny.log_prob(every(), 1)):
        with pytest.raises(ValueError, match="no classes"):
            ask()


def assert_drawn_as_probable(vq, drawn, log_prob):
    n = len(drawn[0])
    found = Counter(map(tuple, torch.cat([codes.flatten(1) for codes in drawn], 1).tolist()))
    codes = every()
    expected = (log_prob.double().exp() * n).tolist()
    counts = [found[tuple(row)] for row in torch.cat([part.flatten(1) for part in codes], 1).tolist()]
    pairs = sorted(zip(expected, counts, strict=True))
    # Rare codes are counted together, as the test wants at least five of a kind.
    rare = [pair for pair in pairs if pair[0] < 5]
    kinds = [pair for pair in pairs if pair[0] >= 5] + [tuple(map(sum, zip(*rare, strict=True)))]
    wanted, seen = ([pair[i] for pair in kinds] for i in (0, 1))
    total = sum(seen) / sum(wanted)
    assert chisquare(seen, [value * total for value in wanted]).pvalue > 1e-3


def test_cached_and_naive_samples_are_equal_whatever_the_batches(tiny):
    cached, naive = (tiny.sample_codes(12, 5, method=method) for method in ("cached", "naive"))
    later = tiny.sample_codes(4, 5, first=8)
    for one, other, last in zip(cached, naive, later, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one[8:], last)
    assert torch.equal(tiny.sample(12, 5), tiny.decode(cached))


def test_the_progress_is_one_over_all_levels_and_names_them(tiny):
    told = []
    tiny.sample_codes(2, 5, progress=lambda so_far: told.append((so_far.done, so_far.total, so_far.what)))
    total = sum(codes[0].numel() for codes in tiny.sample_codes(1, 5))
    assert told == sorted(told, key=lambda each: each[0])
    assert (told[0][0], told[-1]) == (0, (total, total, "bottom code"))
    assert list(dict.fromkeys(what for *_, what in told)) == ["top code", "bottom code"]


def test_the_noise_of_the_levels_is_apart(tiny):
    """With the same noise, a level would not be drawn given the level above alone."""
    same = VQVAE(tiny.autoencoder, tiny.priors)
    top = same.priors["top"].sample(64, 0, first=0)
    shifted = same.priors["top"].sample(64, 0, first=2**30)
    assert not torch.equal(top, shifted)


def test_a_prior_of_other_codes_is_refused(tiny):
    with pytest.raises(ValueError, match="no prior for the codes of level bottom"):
        VQVAE(tiny.autoencoder, {"top": tiny.priors["top"]})
    with pytest.raises(ValueError, match="the prior of level bottom is of codes"):
        VQVAE(tiny.autoencoder, {"top": tiny.priors["top"], "bottom": tiny.priors["top"]})
    assert isinstance(tiny.autoencoder, Autoencoder)
