from __future__ import annotations

import pytest
import torch

from helpers.builders import tiny_density
from pixelcnn_lit.analysis.calibration import calibration, with_noise
from pixelcnn_lit.config import compose
from pixelcnn_lit.data.images import ImageData


def by_hand(posterior, labels, bins=15):
    """The calibration error, bin by bin."""
    sure, predicted = posterior.max(1)
    error = 0.0
    for number in range(bins):
        inside = (sure > number / bins) & (sure <= (number + 1) / bins)
        if inside.any():
            gap = (predicted == labels)[inside].double().mean() - sure[inside].mean()
            error += float(inside.double().mean() * gap.abs())
    return error


def test_is_the_gap_between_confidence_and_accuracy_bin_by_bin():
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.randn(500, 4, generator=generator) * 2 - 1000  # as large as those of images
    labels = torch.randint(0, 4, (500,), generator=generator)
    found = calibration(log_probs, labels)
    posterior = log_probs.double().softmax(1)
    assert found.error == pytest.approx(by_hand(posterior, labels), abs=1e-6)
    assert found.accuracy == pytest.approx(float((posterior.argmax(1) == labels).double().mean()))
    assert found.confidence == pytest.approx(float(posterior.max(1).values.mean()))
    assert sum(each.images for each in found.bins) == 500
    assert sum(each.images * each.accuracy for each in found.bins) == pytest.approx(500 * found.accuracy)


def test_labels_drawn_from_the_posterior_itself_are_calibrated():
    generator = torch.Generator().manual_seed(0)
    log_probs = torch.randn(40_000, 3, generator=generator) * 2
    labels = torch.multinomial(log_probs.softmax(1), 1, generator=generator)[:, 0]
    found = calibration(log_probs, labels)
    assert found.error < 0.01
    assert found.accuracy == pytest.approx(found.confidence, abs=0.01)


def test_one_who_is_always_sure_and_always_wrong_has_the_largest_error():
    found = calibration(torch.tensor([[0.0, -1e4], [0.0, -1e4]]), torch.tensor([1, 1]))
    assert (found.accuracy, found.confidence, found.error) == (0, 1, 1)


def test_noise_changes_the_classes_and_only_noise_is_left_in_the_end(mnist_dir):
    data = ImageData(compose([f"data.dir={mnist_dir}", "data.levels=2", "data.batch_size=7"]).data, seed=0)
    density, device = tiny_density(n_classes=10, size=(28, 28)), torch.device("cpu")
    few, again, all_of_them = (with_noise(density, data, "test", share, device) for share in (0.1, 0.1, 1.0))
    assert few == again != all_of_them
    with torch.no_grad():
        plain = calibration(density.class_log_probs(data.split("test").images), data.split("test").labels)
    assert few != plain
