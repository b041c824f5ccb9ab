"""What the pages say of runs is what the kept runs say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import kept, results
from helpers.running import TINY
from pixelcnn_lit.analysis.shipped import shipped
from pixelcnn_lit.config import compose
from pixelcnn_lit.errors import UserError
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.training.run import Run

OLD = {
    "test/bits_per_dim": 0.25,
    "test/nats_per_image": 12.345,
    "val/bits_per_dim": 0.26,
    "model": "pixelcnn",
    "data": "mnist",
    "source": "embedded",
    "levels": 4,
    "params": 1234,
    "steps": 20,
    "test_images": 500,
    "train_seconds": 12.6,
}
"""The metrics of a run that is older than commands, dates and machines in them."""
NEW = {
    **OLD,
    "test/bits_per_dim": 0.125,
    "classes": 0,
    "seed": 3,
    "precision": "32-true",
    "processor_seconds": 24.9,
    "command": "python -m pixelcnn_lit.train data=digits",
    "date": "2026-11-26T03:00:00+00:00",
    "machine": "Abacus 2",
    "threads": 2,
    "torch": "2.14.1",
    "git": "abc",
}
PAGE = """# A page

It has <!--=new test/bits_per_dim .4f--><!--/--> bits/dim and <!--=old params ,d-->9<!--/--> parameters.

<!--table both: old new-->
<!--/table-->

<!--runs-->
<!--/runs-->
"""


def put(root: Path, name: str, metrics: dict, seconds=("seconds",)) -> Path:
    """A kept run with two validations."""
    folder = root / "docs" / "results" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(metrics))
    rows = [["epochs", "steps", "bits_per_dim", *seconds], [1, 10, 0.3, *seconds], [2, 20, 0.26, *seconds]]
    lines = [[str(4.5 * n) if n and cell in seconds else str(cell) for cell in row] for n, row in enumerate(rows)]
    (folder / "validation.csv").write_text("".join(",".join(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def root(tmp_path):
    put(tmp_path, "old", OLD)
    put(tmp_path, "new", NEW, ("seconds", "processor_seconds"))
    (tmp_path / "README.md").write_text("Nothing of runs.\n")
    (tmp_path / "docs" / "page.md").write_text(PAGE)
    return tmp_path


def test_the_pages_of_this_package_say_what_its_kept_runs_say():
    results.check(results.ROOT)


def test_a_page_is_written_from_the_runs_and_then_agrees_with_them(root):
    page, picture = root / "docs" / "page.md", root / "docs" / "results" / "both.svg"
    assert results.write(root) == [page, picture]
    text = page.read_text()
    assert "It has <!--=new test/bits_per_dim .4f-->0.1250<!--/--> bits/dim" in text
    assert "<!--=old params ,d-->1,234<!--/--> parameters" in text
    assert "| [new](results/new) | pixelcnn | 1,234 | 20 | 13 | 25 | 0.1250 | 12.35 |" in text
    assert "![Validation bits/dim over seconds of training](results/both.svg)" in text
    assert "`python -m pixelcnn_lit.train data=digits`" in text
    assert "seed 3; precision 32-true; machine Abacus 2, 2 threads, torch 2.14.1; date 2026-11-26; code abc" in text
    assert results.write(root) == []
    results.check(root)


def test_what_an_older_run_does_not_say_is_not_kept(root):
    page = root / "docs" / "page.md"
    page.write_text(PAGE + "\nIt took <!--=old processor_seconds .0f--><!--/-->.\n")
    results.write(root)
    text = page.read_text()
    assert "It took <!--=old processor_seconds .0f-->not kept<!--/-->." in text
    assert "| [old](results/old) | pixelcnn | 1,234 | 20 | 13 | not kept | 0.2500 | 12.35 |" in text
    assert "seed not kept; precision not kept; machine not kept; date not kept; code not kept; command not kept" in text


def test_a_run_that_went_on_tells_what_made_each_part(root, tmp_path):
    told = "python -m pixelcnn_lit.train data=digits ckpt={}last.ckpt data.dir={}"
    parts = [
        {
            "from_step": 0,
            "git": "older",
            "machine": "Abacus 1",
            "threads": 1,
            "precision": "bf16-mixed",
            "command": told.format("/home/me/", "/mnt"),
        },
        {"from_step": 1200, "git": "abc", "command": told.format("", "x")},
    ]
    run = put(tmp_path / "run", "it", {**NEW, "parts": parts})
    kept.keep(run, "new", root / "docs" / "results", replace=True)
    results.write(root)
    text = (root / "docs" / "page.md").read_text()
    command = "`python -m pixelcnn_lit.train data=digits{}`"
    first = command.format(" ckpt=last.ckpt")
    earlier = f"to step 1,200, code older, Abacus 1, 1 thread, bf16-mixed: {first}"
    assert f"; code abc  \n  {command.format('')}  \n  {earlier}\n" in text
    put(root, "new", {**NEW, "parts": parts})
    with pytest.raises(UserError, match=r"metrics.json: command names a place of one machine"):
        results.write(root)


def test_a_page_a_run_or_a_curve_that_changes_alone_is_one_line(root, monkeypatch, capsys):
    results.write(root)
    page = root / "docs" / "page.md"
    right = page.read_text()
    page.write_text(right.replace(".4f-->0.1250", ".4f-->0.1240"))
    monkeypatch.setattr(results, "ROOT", root)
    with pytest.raises(SystemExit):
        results.main(["--check"])
    (line,) = capsys.readouterr().err.splitlines()
    assert "page.md:3: says 'It has" in line
    page.write_text(right)
    put(root, "new", {**NEW, "steps": 21}, ("seconds", "processor_seconds"))
    with pytest.raises(UserError, match=r"page.md:9: says .* 20 .*, where the kept runs say .* 21 "):
        results.check(root)
    put(root, "new", NEW, ("seconds", "processor_seconds"))
    results.check(root)
    curve = root / "docs" / "results" / "new" / "validation.csv"
    curve.write_text(curve.read_text().replace("0.26", "0.27"))
    with pytest.raises(UserError, match=r"both.svg: does not show the curves of the kept runs"):
        results.check(root)


def test_the_curves_are_over_processor_seconds_where_all_runs_have_them(root):
    results.write(root)
    picture = root / "docs" / "results" / "both.svg"
    assert ">seconds of training<" in picture.read_text()
    put(root, "old", OLD, ("processor_seconds",))
    assert results.write(root) == [picture]
    assert ">processor seconds of training<" in picture.read_text()
    put(root, "old", OLD, ())
    with pytest.raises(UserError, match="old, new: not all validations have seconds"):
        results.write(root)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"levels": 2}, "table both: levels differs, so scores do not compare: old 2, new 4"),
        ({"classes": 10}, "table both: classes differs, so scores do not compare: old 10, new 0"),
        ({"source": "/home/me/cats.npz"}, "old/metrics.json: source names a place of one machine, '/home/me/cats.npz'"),
        ({"command": "train data.dir=~/data"}, "command names a place of one machine"),
        ({"test/bits_per_dim": None, "params": None}, None),
    ],
)
def test_runs_that_do_not_compare_or_name_places_are_refused(root, changed, message):
    put(root, "old", {**OLD, **changed})
    if message is None:
        results.write(root)
        assert "| not kept | 20 |" in (root / "docs" / "page.md").read_text()
        return
    with pytest.raises(UserError, match=message):
        results.write(root)


@pytest.mark.parametrize("content", ["", "{}", '{"test/bits_per_dim": 1}'])
def test_damaged_metrics_are_named(root, content):
    (root / "docs" / "results" / "old" / "metrics.json").write_text(content)
    with pytest.raises(UserError, match=r"old/metrics.json: (damaged|lacks data, levels, source, test_images)"):
        results.check(root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("it has <!--=none params d--><!--/-->", "page.md: no run none is kept; there are autoencoder, new, old"),
        ("it has <!--=old colour d--><!--/-->", "page.md: no run has colour; they have classes, command, data, date"),
        ("it has <!--=old model .4f--><!--/-->", "'pixelcnn' in the format .4f: "),
        (
            "it has <!--=old params d-->12",
            "page.md: a comment that begins with <!--= is not complete, or is not closed",
        ),
        (
            "\n<!--=old params d--><!--/-->",
            "page.md: a line begins with <!--=, so that Markdown would show it as it stands",
        ),
        ("<!--table a: old new-->\n", "a comment that begins with <!--table is not complete"),
        ("<!--table a: old none-->\n<!--/table-->", "no run none is kept"),
        ("<!--table a: old autoencoder-->\n<!--/table-->", "table a: bits/dim and errors do not compare"),
        ("<!--table a: -->\n<!--/table-->", "table a: names no run"),
    ],
)
def test_a_wrong_comment_is_one_line(root, text, message):
    put(
        root, "autoencoder", {"test/mse": 0.1, **{key: OLD[key] for key in ("data", "source", "levels", "test_images")}}
    )
    (root / "docs" / "page.md").write_text(text)
    with pytest.raises(UserError) as error:
        results.write(root)
    assert message in str(error.value)


def test_a_run_is_kept_without_the_places_of_its_machine(mnist_dir, root, tmp_path, monkeypatch, capsys):
    overrides = [*TINY, f"data.dir={mnist_dir}", "trainer.max_epochs=1", "name=mine"]
    run = Run(compose(overrides), tmp_path / "outputs" / "mine", told=(overrides, {"a": 1}))
    run.fit()
    run.conclude()
    monkeypatch.setattr(results, "ROOT", root)
    results.main(["keep", str(run.folder), "pair/mine"])
    assert "docs/results/pair/mine" in capsys.readouterr().out
    folder = root / "docs" / "results" / "pair" / "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.json", "validation.csv"]
    written, before = (json.loads((place / "metrics.json").read_text()) for place in (folder, run.folder))
    once = [override for override in TINY if not override.startswith("trainer.max_epochs=")]
    assert written.pop("command") == " ".join(["python -m pixelcnn_lit.train", *once, "trainer.max_epochs=1"])
    del before["command"]
    assert written == before
    assert str(mnist_dir) not in (folder / "metrics.json").read_text()
    assert "[pair/mine](results/pair/mine)" in (root / "docs" / "page.md").read_text()
    results.check(root)
    with pytest.raises(UserError, match="there is a kept run of this name already; --replace"):
        kept.keep(run.folder, "pair/mine", root / "docs" / "results", replace=False)
    with pytest.raises(UserError, match="pair: holds others, and is no kept run; choose another name"):
        kept.keep(run.folder, "pair", root / "docs" / "results", replace=True)
    (run.folder / "validation.csv").unlink()
    (folder / "sweep.json").touch()
    results.main(["keep", str(run.folder), "pair/mine", "--replace"])
    assert [path.name for path in folder.iterdir()] == ["metrics.json"]


def test_what_an_older_run_says_elsewhere_in_its_folder_is_kept(tmp_path):
    run = tmp_path / "run"
    overrides = ["data=digits", f"data.dir={tmp_path}", "data.levels=2", "data.binarize=dynamic"]
    run_folder.record(run, compose(overrides), overrides, {})
    (run / "metrics.json").write_text(json.dumps({**OLD, "levels": 2}))
    (run / "train.log").write_text("[2026-11-25 23:59:59,999][a][INFO] finished: test 0.25\nmore\n")
    found = json.loads((kept.keep(run, "it", tmp_path / "kept", replace=False) / "metrics.json").read_text())
    assert found["command"] == "python -m pixelcnn_lit.train data=digits data.levels=2 data.binarize=dynamic"
    assert (found["date"], found["binarize"], found["context"], found["classes"]) == (
        "2026-11-25",
        "dynamic",
        "none",
        0,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["keep", "outputs/none", "a"], "outputs/none: no finished run"),
        (["keep", "RUN", "old", "--replace"], "RUN: is kept there already"),
        (["keep", "RUN", "../a"], "'../a': must be letters, digits, _ and -, with / between folders"),
        (["keep", "RUN", ""], "'': must be letters, digits, _ and -, with / between folders"),
        (["keep", "RUN", "old/more"], "docs/results/old, a kept run; choose another name"),
        (["keep", "RUN"], "keep RUN: the words are keep RUN NAME"),
        (["--check", "--replace"], "--check stands alone"),
    ],
)
def test_a_wrong_command_is_one_line_and_keeps_nothing(root, monkeypatch, capsys, words, message):
    monkeypatch.setattr(results, "ROOT", root)
    run = str(root / "docs" / "results" / "old")
    with pytest.raises(SystemExit):
        results.main([run if word == "RUN" else word for word in words])
    (line,) = capsys.readouterr().err.splitlines()
    assert message.replace("RUN:", f"{run}:") in line
    assert sorted(path.name for path in (root / "docs" / "results").iterdir()) == ["new", "old"]


@pytest.mark.parametrize(
    ("override", "left"),
    [
        ("data.path=/home/me/cats.npz", ["data.path=cats.npz"]),
        ("ckpt=outputs/a b/checkpoints/last.ckpt", ["ckpt=last.ckpt"]),
        ("priors.top=[model=pixelsnail,weights='~/a/b.ckpt']", ["priors.top=[model=pixelsnail,weights='b.ckpt']"]),
        ("+name=mine", []),
        ("data.dir=/data", []),
        ("hydra/launcher=ray", []),
        ("hydra.run.dir=a", []),
        ("optimizer.lr=1e-3", ["optimizer.lr=1e-3"]),
    ],
)
def test_of_places_only_the_names_stay(override, left):
    assert kept.told([override]) == left


def test_a_page_lists_the_models_that_come_with_the_package(root):
    page = root / "docs" / "page.md"
    page.write_text("<!--shipped-->\n<!--/shipped-->\n")
    results.write(root)
    lines = page.read_text().splitlines()
    assert len(lines) == len(shipped()) + 4
    (classes,) = (line for line in lines if "`pretrained:mnist_classes`" in line)
    assert "10,000 test images of mnist (torchvision), 2 levels, given the class" in classes
