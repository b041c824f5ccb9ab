"""Images to codes and back: shapes, the gradient through the codes, and what comes out of wrong codes."""

from __future__ import annotations

import pytest
import torch

from pixelcnn_lit.config import compose_vqvae
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.factory import build_autoencoder

SIZES = ["data=digits", "autoencoder.hidden=6", "autoencoder.res_hidden=3", "autoencoder.n_res=1"]


def tiny(*overrides, n_codes=5, code_size=4, levels=256):
    torch.manual_seed(0)
    own = [f"autoencoder.n_codes={n_codes}", f"autoencoder.code_size={code_size}", f"data.levels={levels}"]
    return build_autoencoder(compose_vqvae([*SIZES, *own, *overrides]))


def images(n=8, levels=256, shape=(1, 28, 28)):
    return torch.randint(levels, (n, *shape), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("downsampling", "shape", "expected"),
    [
        ("[4]", (1, 28, 28), [(7, 7)]),
        ("[2,2]", (1, 28, 28), [(7, 7), (14, 14)]),
        ("[2,2,2]", (3, 16, 24), [(2, 3), (4, 6), (8, 12)]),
        ("[2]", (1, 2, 2), [(1, 1)]),
    ],
)
def test_each_level_has_a_map_of_codes(downsampling, shape, expected):
    shown = str(list(shape)).replace(" ", "")
    autoencoder = tiny(
        f"autoencoder.downsampling={downsampling}", "data=npz", "data.path=x", f"data.image_shape={shown}"
    )
    x = images(n=40, shape=shape)
    autoencoder.initialise(x)
    codes = autoencoder.eval().encode(x)
    assert [tuple(c.shape) for c in codes] == [(40, 1, *size) for size in expected]
    assert list(autoencoder.code_shapes()) == expected
    assert all(c.dtype == torch.uint8 and int(c.max()) < 5 for c in codes)
    assert autoencoder.decode(codes).shape == x.shape


def test_a_code_is_the_nearest_vector():
    autoencoder = tiny()
    autoencoder.initialise(images())
    book = autoencoder.codebook("top").eval()
    x = torch.randn(3, 4, 2, 2)
    quantised, codes, commitment = book(x)
    distances = (x.movedim(1, -1)[..., None, :] - book.codebook.codebook).square().sum(-1)
    assert torch.equal(codes[:, 0], distances.argmin(-1))
    assert torch.allclose(quantised, book.vectors(codes))
    assert commitment.item() == pytest.approx(distances.min(-1).values.mean().item() / 4)


def test_the_gradient_passes_straight_through_the_codes():
    """Of what follows the codes it arrives unchanged, and the commitment pulls vectors towards their codes."""
    autoencoder = tiny()
    autoencoder.initialise(images())
    book = autoencoder.codebook("top").train()
    before = book.codebook.codebook.clone()
    x = torch.randn(3, 4, 2, 2, requires_grad=True)
    weights = torch.randn(3, 4, 2, 2)
    quantised, codes, commitment = book(x)
    (straight,) = torch.autograd.grad((quantised * weights).sum(), x, retain_graph=True)
    assert torch.equal(straight, weights)
    (pull,) = torch.autograd.grad(commitment, x)
    nearest = before[codes[:, 0]].movedim(-1, 1)
    assert torch.allclose(pull, 2 * (x - nearest) / x.numel(), atol=1e-7)
    assert not list(book.parameters())


def test_every_parameter_learns():
    autoencoder = tiny("autoencoder.downsampling=[2,2,2]", "data.image_shape=[1,32,32]", "data=npz", "data.path=x")
    x = images(shape=(1, 32, 32))
    autoencoder.initialise(x)
    result = autoencoder.train()(autoencoder.normalise(x))
    ((result.images - autoencoder.normalise(x)).square().mean() + result.commitment).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in autoencoder.parameters())


def test_the_codes_move_in_training_alone():
    autoencoder = tiny()
    x = autoencoder.normalise(images())
    autoencoder.initialise(images())
    for training, moves in ((False, False), (True, True)):
        before = {name: buffer.clone() for name, buffer in autoencoder.named_buffers()}
        autoencoder.train(training)(x)
        moved = any(not torch.equal(before[name], buffer) for name, buffer in autoencoder.named_buffers())
        assert moved == moves


def test_codes_are_the_moving_averages_of_their_vectors():
    autoencoder = tiny("autoencoder.decay=0.75", "autoencoder.revive_below=0", n_codes=2, code_size=1)
    book = autoencoder.codebook("top").train()
    book.initialise(torch.tensor([0.0, 0.0, 10.0, 10.0]).view(4, 1, 1, 1))
    low = int(book.codebook.codebook.argmin())
    for _ in range(60):
        book(torch.tensor([1.0, 1.0, 9.0, 9.0]).view(4, 1, 1, 1))
    codes = book.codebook.codebook.flatten()
    assert codes[low].item() == pytest.approx(1, abs=1e-3)
    assert codes[1 - low].item() == pytest.approx(9, abs=1e-3)


def test_a_dead_code_is_revived():
    alive = {}
    for below in (0, 1):
        overrides = [f"autoencoder.revive_below={below}", "autoencoder.decay=0.9"]
        book = tiny(*overrides, n_codes=2, code_size=1).codebook("top")
        book.initialise(torch.tensor([0.0, 0.0, 100.0, 100.0]).view(4, 1, 1, 1))
        x = torch.tensor([0.0, 1.0]).repeat(8).view(16, 1, 1, 1)
        for _ in range(12):
            book.train()(x)
        alive[below] = len(book.eval()(x)[1].unique())
    assert alive == {0: 1, 1: 2}


def test_what_is_decoded_is_stable_and_independent_of_the_batch():
    """Codes of a picture give that picture, alone or among others; what was lost is lost at once."""
    autoencoder = tiny(n_codes=32)
    x = images(16)
    autoencoder.initialise(x)
    codes = autoencoder.eval().encode(x)
    assert torch.equal(autoencoder.reconstruct(x), autoencoder.decode(codes))
    for i in (0, 7):
        alone = autoencoder.encode(x[i : i + 1])
        for name, one, many in zip(autoencoder.names, alone, codes, strict=True):
            book = autoencoder.codebook(name)  # an untrained one may hold nearly the same vector twice
            assert torch.allclose(book.vectors(one), book.vectors(many[i : i + 1]), atol=5e-3)
        assert (autoencoder.decode(alone).int() - autoencoder.decode(codes)[i : i + 1].int()).abs().max() <= 1


def test_many_codes_are_integers_that_can_be_indices():
    autoencoder = tiny(n_codes=300)
    autoencoder.initialise(images())
    codes = autoencoder.eval().encode(images(2))
    assert {c.dtype for c in codes} == {torch.int16}
    assert autoencoder.decode(codes).shape == (2, 1, 28, 28)


def test_wrong_codes_are_refused():
    autoencoder = tiny()
    autoencoder.initialise(images())
    top, bottom = autoencoder.eval().encode(images(2))
    for wrong, message in (
        ((top,), "1 maps of codes; this autoencoder has 2"),
        ((top, bottom + 5), "the map bottom has codes from 5"),
        ((top.int() - 9, bottom), "the map top has codes from -9"),
        ((top[:, 0], bottom), r"the map top has shape \(2, 7, 7\)"),
        ((bottom, top), "of 14x14 codes; beside"),
        ((top[:1], bottom), "the maps are of 1 and 2 images"),
    ):
        with pytest.raises(ValueError, match=message):
            autoencoder.decode(wrong)


def test_a_codebook_without_codes_says_so():
    autoencoder = tiny()
    for training in (False, True):
        with pytest.raises(RuntimeError, match="no codes yet"):
            autoencoder.train(training)(autoencoder.normalise(images()))


def test_images_have_levels():
    autoencoder = tiny(levels=4)
    x = images(levels=4)
    assert torch.equal(autoencoder.quantise(autoencoder.normalise(x)), x)
    assert autoencoder.quantise(torch.tensor([-1.0, 0.49 / 3, 0.51 / 3, 7.0])).tolist() == [0, 0, 1, 3]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("autoencoder.downsampling=[4,2]", "height and width, 28 and 28, must be multiples of 8"),
        ("autoencoder.downsampling=[3]", "must be a power of two"),
        ("autoencoder.downsampling=[]", "autoencoder.downsampling"),
        ("autoencoder.downsampling=[2,2,2,2]", "autoencoder.downsampling"),
        ("autoencoder.n_codes=1", "from 2 to 65536"),
        ("autoencoder.n_codes=65537", "from 2 to 65536"),
        ("autoencoder.decay=1.0", "autoencoder.decay"),
        ("autoencoder.revive_below=-1", "autoencoder.revive_below"),
    ],
)
def test_a_wrong_key_is_named(override, message):
    with pytest.raises(UserError, match=message):
        compose_vqvae(["data=digits", override])


def test_without_the_package_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "vector_quantize_pytorch", None)
    with pytest.raises(UserError, match=r"needs vector-quantize-pytorch; pip install 'pixelcnn-lit\[vqvae\]'"):
        tiny()
