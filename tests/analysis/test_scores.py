from __future__ import annotations

import io
import math
import statistics

import numpy as np
import pytest
import torch
from PIL import Image

from helpers.builders import all_images, tiny_density
from pixelcnn_lit.analysis import scores


@pytest.fixture(scope="module")
def images():
    return all_images(2, (1, 2, 3))


def by_hand(density, images):
    """log p(x) of each image: its probability is a product over pixels, one pass of the network for each."""
    found = []
    for image in images:
        nats = 0.0
        for row in range(2):
            for column in range(3):
                seen = image.clone()
                seen.view(-1)[3 * row + column :] = 0
                chances = density.logits(seen[None])[0, :, 0, row, column].double().softmax(0)
                nats += math.log(float(chances[int(image[0, row, column])]))
        found.append(nats)
    return found


@pytest.fixture(scope="module")
def models(images):
    with torch.no_grad():
        densities = [tiny_density(seed=seed, size=(2, 3)) for seed in range(3)]
        return [(density.log_prob(images).double(), by_hand(density, images)) for density in densities]


def agree(found, expected):
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.double), atol=1e-4, rtol=1e-5)


def test_probabilities_of_all_images_sum_to_one(models):
    for log_probs, expected in models:
        assert sum(map(math.exp, expected)) == pytest.approx(1)
        agree(log_probs, expected)


def test_surprise(models):
    agree(scores.surprise(models[0][0]), [-nats for nats in models[0][1]])


@pytest.mark.parametrize("together", [1, 3, 64])
def test_atypicality_is_the_distance_to_the_entropy(models, together):
    log_probs, nats = models[0]
    entropy = -sum(math.exp(one) * one for one in nats)  # of the density itself, over all its images
    batches = [nats[i : i + together] for i in range(0, len(nats) - together + 1, together)]
    expected = [abs(-sum(batch) / together - entropy) for batch in batches]
    agree(scores.atypicality(log_probs, entropy, together), expected)


def test_images_that_fill_no_batch_have_no_atypicality():
    assert scores.atypicality(torch.zeros(7), 1.0, 3).tolist() == [1.0, 1.0]
    assert scores.atypicality(torch.zeros(2), 1.0, 3).tolist() == []


def test_the_likelihood_ratio_is_high_where_the_background_model_knows_better(models):
    expected = [there - here for here, there in zip(models[0][1], models[1][1], strict=True)]
    agree(scores.likelihood_ratio(models[0][0], models[1][0]), expected)


def test_input_complexity_takes_off_what_a_lossless_coder_needs(models, images):
    files = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image[0].numpy()).save(file, format="PNG", optimize=True)
        files.append(8 * len(file.getvalue()))
    expected = [-nats / math.log(2) - bits for nats, bits in zip(models[0][1], files, strict=True)]
    agree(scores.input_complexity(models[0][0], scores.png_bits(images)), expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_plain_images_are_shorter_than_noise_in_any_number_of_channels(channels):
    rng = np.random.default_rng(0)
    plain = torch.full((1, channels, 16, 16), 200, dtype=torch.uint8)
    noise = torch.from_numpy(rng.integers(0, 256, (1, channels, 16, 16), dtype=np.uint8))
    short, long = scores.png_bits(torch.cat([plain, noise])).tolist()
    entropy = 8 * 16 * 16 * channels
    assert short < 1000
    assert entropy < long < entropy + 1200


def test_waic_is_the_variance_less_the_mean(models):
    each = list(zip(*(nats for _, nats in models), strict=True))
    expected = [statistics.pvariance(one) - statistics.fmean(one) for one in each]
    agree(scores.waic(torch.stack([log_probs for log_probs, _ in models])), expected)


def test_codes_beyond_255_are_compressed_whole():
    x = torch.randint(0, 2**16, (1, 1, 16, 16), generator=torch.Generator().manual_seed(0)).int()
    assert scores.png_bits(x).item() > 16 * 256
    assert scores.png_bits(x * 0).item() < 1000
