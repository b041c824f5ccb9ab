"""Each kind of wrong input ends in one clear line on standard error, a non-zero exit and no traceback."""

from __future__ import annotations

import pytest
import torch

from helpers.builders import write_mnist
from helpers.process import TINY, fails, forked, succeeds

# How each wrong value is worded is checked in tests/config/test_checking.py; here is one of each way into a command.
CONFIG_ERRORS = [
    ("data.levels=1", "data.levels=1: must be an integer from 2 to 256"),
    ("model=transformer", "Could not find 'model/transformer'; available: "),
    ("model.depth=3", "model.depth: no such key"),
    ("model.n_res=1,2", "model.n_res=1,2: one value is expected; a list is key=[a,b], a sweep needs -m"),
    ("data.levels=[", "data.levels=[: cannot be read as an override"),
    ("hydra.run.dir=/proc/nowhere", "/proc/nowhere"),
    ("callbacks=null", "callbacks=null: names a group of keys"),
    ("name=../../x", "name=../../x: must name a folder below outputs/"),
    ("name=1", "name=1: must be a text, such as run1"),
    ("--foo", "--foo; settings have the form key=value"),
    ("hydra/launcher=cluster", "hydra/launcher/cluster"),
]


@pytest.mark.parametrize(("override", "message"), CONFIG_ERRORS)
def test_wrong_configs(tmp_path, override, message):
    fails(forked("train", override, cwd=tmp_path), message)


def test_an_output_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "outputs").write_text("a file is in the way")
    fails(forked("train", cwd=tmp_path), "outputs")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.dir=.", "train-images-idx3-ubyte: damaged"),
        ("trainer.accelerator=abacus", "trainer: "),
        (
            "trainer.accelerator=cuda",
            "trainer.accelerator=cuda: no CUDA GPU here; trainer=auto or trainer=cpu would work",
        ),
        ("optimizer.weight_decay=1e30 optimizer.lr=10 on_nan=skip", "weights have gone wrong"),
        ("trainer.max_epochs=-1", "optimizer.schedule=cosine: needs an end"),
        ("trainer.devices=0", "trainer.devices=0: must be a number of at least 1"),
        ("ckpt=none.ckpt", "ckpt=none.ckpt: no such file"),
    ],
)
def test_wrong_inputs_of_a_training(tmp_path, mnist_dir, override, message):
    write_mnist(tmp_path)
    path = tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-1])
    fails(forked("train", *TINY, f"data.dir={mnist_dir}", *override.split(), cwd=tmp_path), message)


@pytest.fixture
def checkpoints(trained, tmp_path):
    content = (trained[0] / "checkpoints" / "best.ckpt").read_bytes()
    (tmp_path / "good.ckpt").write_bytes(content)
    (tmp_path / "truncated.ckpt").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.ckpt").write_bytes(b"")
    (tmp_path / "text.ckpt").write_text("not a checkpoint")
    torch.save({"state_dict": {"weight": torch.zeros(3)}}, tmp_path / "foreign.ckpt")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none", "ckpt=none.ckpt: no such file"),
        ("truncated", "ckpt=truncated.ckpt: damaged, or no checkpoint"),
        ("empty", "ckpt=empty.ckpt: damaged, or no checkpoint"),
        ("text", "ckpt=text.ckpt: damaged, or no checkpoint"),
        ("foreign", "ckpt=foreign.ckpt: no checkpoint of pixelcnn-lit"),
    ],
)
def test_wrong_checkpoints(checkpoints, name, message):
    fails(forked("evaluate", f"ckpt={name}.ckpt", cwd=checkpoints), message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "ckpt"),
        ("occlude=middle", "occlude='middle': must be one of bottom, top, left, right, centre, random or null"),
        ("n=0", "n=0: must be an integer from 1 to"),
        ("temperature=-1", "temperature=-1: must be a number from 0 to 100"),
        ("out=samples.jpg", "out=samples.jpg: must end in .png"),
        ("out=good.ckpt/samples.png", "out=good.ckpt/samples.png: cannot be written (Not a directory)"),
        ("occlude=top n=21", "n=21: the test split has 20 images"),
        ("split=val", "split=val: chooses images of a data set, and none are read here; leave it out"),
        ("data=digits", "data.name=mnist: chooses images of a data set"),
        ("image=text.ckpt occlude=top split=train", "split=train: chooses images of a data set"),
        ("mask=none.png n=2", "mask=none.png: no such file"),
        ("image=text.ckpt occlude=right n=2", "image=text.ckpt: cannot be read as a PNG or JPEG image"),
        ("batch_size=65536 n=65536 size=[4096,4096]", "batch_size=65536, n=65536: the computer has not enough memory"),
        ("device=cuda", "device=cuda: no CUDA GPU here"),
        ("device=mps", "device=mps: no Apple GPU here"),
    ],
)
def test_wrong_inputs_of_sample(checkpoints, arguments, message):
    if arguments == "device=cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    ckpt = ["ckpt=good.ckpt"] if arguments else []
    result = forked("sample", *ckpt, *arguments.split(), cwd=checkpoints)
    fails(result, message)
    assert result.stdout == ""


def test_a_traceback_is_shown_on_request(tmp_path):
    result = forked("train", "data.levels=1", cwd=tmp_path, HYDRA_FULL_ERROR="1")
    assert result.returncode != 0
    assert "Traceback" in result.stderr
    assert "data.levels=1: must be" in result.stderr


def test_a_wrong_value_costs_no_training_and_writes_no_results(tmp_path):
    fails(forked("train", "model.n_res=-1", cwd=tmp_path))
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert written <= {"config.yaml", "hydra.yaml", "overrides.yaml", "train.log"}
    succeeds(forked("train", "--cfg", "job", cwd=tmp_path))
