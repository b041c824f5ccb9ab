from __future__ import annotations

import pytest
import torch

from helpers.builders import tiny_density
from pixelcnn_lit.analysis.progress import Film, in_batches, parts
from pixelcnn_lit.config import SampleConfig


def settings(batch_size, workers=1):
    values = {"batch_size": batch_size, "workers": workers, "device": "cpu"}
    values |= {"seed": 3, "temperature": 1.0, "method": "cached"}
    return SampleConfig.model_construct(**values)


class Small:
    """A density on a device with room for ``room`` images: more fail after their first row."""

    def __init__(self, room, error):
        self.density, self.room, self.error, self.sizes = tiny_density(4, size=(4, 4)), room, error, []

    def drawn(self, part, progress, **how):
        n = part.stop - part.start
        self.sizes.append(n)

        def told(so_far):
            progress(so_far)
            if n > self.room and so_far.done == 1:
                raise self.error

        return self.density.sample(n, progress=told, **how)


def test_too_large_a_batch_is_halved_until_it_fits_and_draws_the_same_images(capsys):
    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
    small, film, whole = Small(3, error), Film(), Film()
    x = in_batches(settings(12), 14, None, "samples", small.drawn, film)
    assert small.sizes == [12, 6, 3, 3, 3, 3, 2]
    in_batches(settings(1), 1, None, "completions", small.drawn)
    easy = Small(99, error)
    assert torch.equal(x, in_batches(settings(14), 14, None, "samples", easy.drawn, whole))
    assert torch.equal(film.when, whole.when)
    printed = capsys.readouterr().out
    assert "not enough memory to draw 12 images at once: going on with 6" in printed
    assert "going on with 3" in printed
    assert "\n14 samples in" in printed
    assert "\n1 completion in" in printed


def test_one_image_that_has_no_room_is_an_error_and_so_is_any_other_failure():
    with pytest.raises(torch.OutOfMemoryError):
        in_batches(settings(4), 4, None, "samples", Small(0, torch.OutOfMemoryError("CUDA out of memory")).drawn)
    small = Small(1, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        in_batches(settings(4), 4, None, "samples", small.drawn)
    assert small.sizes == [4]


def test_processes_draw_and_film_the_images_of_one(capsys):
    density, films = tiny_density(4, size=(4, 4), n_classes=3), [Film(), Film()]
    y = torch.arange(7) % 3

    def drawn(part, **how):
        return density.sample(part.stop - part.start, **how)

    one, two = (
        in_batches(settings(2, workers), 7, y, "samples", drawn, film)
        for workers, film in zip((1, 2), films, strict=True)
    )
    assert torch.equal(one, two)
    assert torch.equal(films[0].when, films[1].when)
    assert "7 samples by 2 processes in" in capsys.readouterr().out


@pytest.mark.parametrize(("n", "workers", "size"), [(1, 4, 9), (10, 2, 3), (64, 2, 256), (1000, 3, 256), (5, 9, 1)])
def test_parts_are_all_images_in_about_equal_slices(n, workers, size):
    drawn = parts(n, workers, size)
    assert [i for part in drawn for i in range(n)[part]] == list(range(n))
    lengths = [part.stop - part.start for part in drawn]
    assert 0 < min(lengths) <= max(lengths) <= min(size, min(lengths) + 1)
    assert len(drawn) % workers == 0 or len(drawn) == n
