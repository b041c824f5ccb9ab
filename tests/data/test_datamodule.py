from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from pixelcnn_lit.config import compose
from pixelcnn_lit.data.datamodule import ImageDataModule
from pixelcnn_lit.data.images import BatchIndices
from pixelcnn_lit.device import has_room
from pixelcnn_lit.errors import UserError


def data_module(mnist_dir, *overrides):
    config = compose(
        [f"data.dir={mnist_dir}", "data.source=torchvision", "data.levels=4", "data.batch_size=10", *overrides]
    )
    return ImageDataModule(config.data, config.seed)


def test_batches_are_slices_of_one_uint8_tensor(mnist_dir):
    data = data_module(mnist_dir)
    loader = data.loader("train")
    batches = list(loader)
    assert len(loader) == len(batches) == 5
    assert torch.equal(torch.cat([x for x, _ in batches]), data.split("train").images)
    x, y = batches[0]
    assert x.shape == (10, 1, 28, 28)
    assert x.dtype == torch.uint8
    assert y.dtype == torch.int64
    assert 0 <= y.min() < y.max() < data.config.n_classes == 10
    assert 0 <= x.min() < x.max() == 3


def test_the_order_is_a_function_of_seed_and_epoch_alone():
    def order(seed, epoch):
        indices = BatchIndices(20, 6, seed)
        indices.set_epoch(epoch)
        return torch.cat(list(indices)).tolist()

    assert order(0, 0) == order(0, 0)
    assert sorted(order(0, 0)) == list(range(20))
    assert len({tuple(order(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("length", [1, 7, 12, 13])
def test_processes_share_every_image_once_in_evaluation(world, length):
    parts = [BatchIndices(length, 2, None, rank, world) for rank in range(world)]
    taken = sorted(int(i) for part in parts for batch in part for i in batch)
    assert taken == list(range(length))
    assert [len(part) for part in parts] == [len(list(part)) for part in parts]


@pytest.mark.parametrize("length", [7, 12, 13])
def test_processes_take_the_same_steps_and_batches_in_training(length):
    alone = list(BatchIndices(length, 4, seed=0))
    shared = [list(BatchIndices(length, 2, 0, rank, 2)) for rank in range(2)]
    assert len(shared[0]) == len(shared[1]) == len(BatchIndices(length, 2, 0, 0, 2))
    for whole, first, second in zip(alone, *shared, strict=True):
        assert sorted(whole.tolist()) == sorted(torch.cat([first, second]).tolist())


def test_images_of_another_shape_than_the_config_says_are_an_error(mnist_dir):
    with pytest.raises(UserError, match=r"data.image_shape=\[1, 14, 14\]: mnist: the images are \[1, 28, 28\]"):
        data_module(mnist_dir, "data.image_shape=[1,14,14]").setup()


def test_a_label_beyond_the_number_of_classes_is_an_error(mnist_dir):
    with pytest.raises(UserError, match=r"data.n_classes=3: mnist: its labels go up to 9"):
        data_module(mnist_dir, "data.n_classes=3").setup()
    data_module(mnist_dir, "data.n_classes=0").setup()


def epoch_of(loader, epoch):
    """The images of an epoch of training in the order of the data set."""
    loader.sampler.set_epoch(epoch)
    images = torch.cat([x for x, *_ in loader])
    return images[loader.sampler.order().argsort()]


def test_dynamic_binarisation_draws_training_images_anew_each_epoch_and_the_others_once(mnist_dir):
    binary = ["data.levels=2", "data.binarize=dynamic"]
    first, again, other = (data_module(mnist_dir, *binary, f"seed={seed}") for seed in (0, 0, 1))
    grey = data_module(mnist_dir, "data.levels=256").split("train").images
    loader = first.loader("train", shuffle=True)
    epochs = [epoch_of(loader, epoch) for epoch in (0, 1, 0)]
    assert torch.equal(epochs[0], epochs[2])
    assert not torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[1], epoch_of(again.loader("train", shuffle=True), 1))
    assert not torch.equal(epochs[1], epoch_of(other.loader("train", shuffle=True), 1))
    for images in epochs:
        assert images.dtype == torch.uint8
        assert set(images.unique().tolist()) == {0, 1}
        assert not images[grey == 0].any()
        assert images[grey == 255].all()
    x, y, context, chances = next(iter(loader))
    assert context is None
    assert torch.equal(y, first.split("train").labels[loader.sampler.order()[: len(x)]])
    assert torch.equal(chances, grey[loader.sampler.order()[: len(x)]] / 255)
    for part in ("train", "val", "test"):
        fixed = first.split(part).images
        assert torch.equal(fixed, other.split(part).images)
        assert torch.equal(fixed, torch.cat([x for x, _ in first.loader(part)]))
        assert set(fixed.unique().tolist()) == {0, 1}
    assert not torch.equal(first.split("val").images, data_module(mnist_dir, "data.levels=2").split("val").images)


def trainer_of(rank=0, device="cpu"):
    strategy = SimpleNamespace(root_device=torch.device(device))
    return SimpleNamespace(global_rank=rank, world_size=2, strategy=strategy)


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_are_taken_where_the_training_is(mnist_dir, shuffle):
    # The meta device refuses to mix with the CPU, and gives nothing back.
    data = data_module(mnist_dir)
    data.trainer = trainer_of(device="meta")
    for x, y in data.loader("train", shuffle=shuffle):
        assert x.is_meta
        assert y.is_meta
    assert data.split("train").images.device.type == "cpu"


def test_images_that_fill_a_gpu_stay_outside(mnist_dir, monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 * 1000, 8000))
    assert has_room(torch.device("cuda"), 1000)
    assert not has_room(torch.device("cuda"), 1001)
    data = data_module(mnist_dir)
    data.trainer = trainer_of(device="cuda")
    assert all(x.device.type == "cpu" for x, _ in data.loader("train"))


def test_processes_share_the_draws_of_an_epoch(mnist_dir):
    data = data_module(mnist_dir, "data.levels=2", "data.binarize=dynamic")
    alone = epoch_of(data.loader("train", shuffle=True), 3)
    for rank in range(2):
        data.trainer = trainer_of(rank)
        loader = data.loader("train", shuffle=True)
        loader.sampler.set_epoch(3)
        for indices, (x, *_) in zip(loader.sampler, loader, strict=True):
            assert torch.equal(x, alone[indices])


def test_without_reshuffling_each_epoch_has_the_batches_of_the_first():
    orders = []
    for reshuffle in (True, False):
        indices = BatchIndices(20, 5, seed=3, reshuffle=reshuffle)
        for epoch in (0, 1):
            indices.set_epoch(epoch)
            orders.append(torch.cat(list(indices)))
    assert not torch.equal(orders[0], orders[1])
    assert torch.equal(orders[2], orders[3])
    assert torch.equal(orders[0], orders[2])


@pytest.mark.parametrize("binarize", ["dynamic", "null"])
def test_labels_get_the_numbers_of_the_classes_that_a_model_knows(mnist_dir, binarize):
    plain, data = (data_module(mnist_dir, "data.levels=2", f"data.binarize={binarize}") for _ in range(2))
    known = tuple("9876543210")
    assert data.renumber(known, 10)
    assert not data.renumber(known, 10)
    assert not plain.renumber((), 10)
    for part in ("train", "val", "test"):
        assert torch.equal(data.split(part).labels, 9 - plain.split(part).labels)
    drawn, same = (torch.cat([y for _, y, *_ in each.loader("train", shuffle=True)]) for each in (data, plain))
    assert torch.equal(drawn, 9 - same)
    with pytest.raises(UserError, match=r"data=mnist: its classes are 0, .*; the checkpoint's are a, b"):
        plain.renumber(("a", "b"), 2)
