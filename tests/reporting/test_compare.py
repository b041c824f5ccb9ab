from __future__ import annotations

import json
import re
from statistics import fmean, stdev

import pytest

from helpers.running import leave
from pixelcnn_lit.config.places import RECORD
from pixelcnn_lit.reporting import collect
from pixelcnn_lit.reporting.compare import Mean, groups
from pixelcnn_lit.storage import run_folder


def add_to_metrics(run, **more):
    path = run / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | more))


def test_runs_compare_at_the_same_levels_alone(sweep):
    found = groups(collect.runs_below(sweep))
    assert [group.label for group in found] == ["mnist, 2 levels", "mnist, 4 levels"]
    assert [[run.folder.name for run in group.runs] for group in found] == [["d", "c"], ["b", "a"]]
    assert [group.keys for group in found] == [("model.n_res",), ("model.n_res",)]
    assert [group.best and group.best.folder.name for group in found] == [None, "b"]


@pytest.mark.parametrize(
    ("other", "label"),
    [
        (["data.binarize=dynamic"], "binarised (dynamic)"),
        (["model.n_classes=10"], "given the class"),
        (["context=small"], "given context=small"),
        (["data=fashion_mnist"], "fashion_mnist, 2 levels"),
        (["data.split_seed=9"], "data.split_seed=9"),
    ],
)
def test_scores_of_another_question_do_not_compare(tmp_path, other, label):
    leave(tmp_path / "a", "data.levels=2", bits=0.5)
    leave(tmp_path / "b", "data.levels=2", *other, bits=0.4)
    labels = [group.label for group in groups(collect.runs_below(tmp_path))]
    assert len(labels) == 2
    assert any(label in text for text in labels)


def test_a_job_that_has_not_begun_is_with_those_that_ask_the_same(tmp_path):
    for seed, levels in ((0, 2), (1, 2), (0, 4), (1, 4)):
        job, told = tmp_path / f"{seed}{levels}", (f"seed={seed}", f"data.levels={levels}", "model.n_res=1")
        if seed == 0:
            leave(job, *told, bits=0.5)
        else:
            run_folder.note_overrides(job, told, told)
    run_folder.note_overrides(tmp_path / "bad", ("model.n_res=x",), ())
    run_folder.stop(tmp_path / "bad", "failed", "model.n_res=x: no number")
    found = groups(collect.runs_below(tmp_path))
    assert [group.label for group in found] == ["mnist, 2 levels", "mnist, 4 levels", "refused before they began"]
    assert [[run.status.state for run in group.runs] for group in found[:2]] == [["finished", "not started"]] * 2
    run_folder.note_overrides(tmp_path / "alone" / "a", ("seed=3",), ())
    assert [group.label for group in groups(collect.runs_below(tmp_path / "alone"))] == ["not begun"]


def test_a_job_that_has_not_begun_is_given_the_class_only_if_it_will_be(tmp_path):
    leave(tmp_path / "a", "data.levels=2", "model.n_classes=10", bits=0.5)
    run_folder.note_overrides(tmp_path / "b", ("data.levels=2", "model.n_classes=null"), ())
    labels = [group.label for group in groups(collect.runs_below(tmp_path))]
    assert labels == ["mnist, 2 levels", "mnist, 2 levels, given the class"]


def test_what_changes_no_question_changes_no_group(tmp_path):
    for number, other in enumerate(
        ["data.batch_size=8", "model.n_res=2", "context=none", "data.source=embedded", "seed=3"]
    ):
        leave(tmp_path / str(number), "data.levels=2", other, bits=0.5)
    assert len(groups(collect.runs_below(tmp_path))) == 1


def test_scores_over_other_test_images_do_not_compare(tmp_path):
    for name, images in (("a", 500), ("b", 500), ("c", 16)):
        leave(tmp_path / name, "data.levels=2", f"seed={images}", bits=0.5)
        add_to_metrics(tmp_path / name, source="/data/embedded", test_images=images)
    labels = [group.label for group in groups(collect.runs_below(tmp_path))]
    assert labels == [f"mnist (embedded), 2 levels, {images} test images" for images in (16, 500)]


def test_an_unfinished_run_is_with_the_finished_ones_that_ask_the_same(tmp_path):
    leave(tmp_path / "a", "data.levels=2", bits=0.5)
    add_to_metrics(tmp_path / "a", source="embedded", test_images=500)
    leave(tmp_path / "b", "data.levels=2", "seed=1", curve=[(1, 0.7)])
    (group,) = groups(collect.runs_below(tmp_path))
    assert [run.folder.name for run in group.runs] == ["a", "b"]
    leave(tmp_path / "c", "data.levels=2", "seed=2", bits=0.5)
    add_to_metrics(tmp_path / "c", source="embedded", test_images=16)
    assert sorted(len(group.runs) for group in groups(collect.runs_below(tmp_path))) == [1, 1, 1]


def test_means_are_over_the_seeds_of_a_setting(seeds):
    two, four = groups(collect.runs_below(seeds))
    first, second = two.settings()
    assert (first.values, second.values) == (("1",), ("2",))
    bits = [0.6, 0.61, 0.62]
    assert (first.test.mean, first.test.deviation) == (pytest.approx(fmean(bits)), pytest.approx(stdev(bits)))
    assert [sum(run.test is not None for run in setting.runs) for setting in four.settings()] == [3, 2]
    assert Mean.of([0.5, None]) == Mean(0.5, None)
    assert Mean.of([None]) is None
    assert groups(collect.runs_below(seeds / "model.n_res=1+data.levels=2+seed=0"))[0].settings() == []


def test_runs_that_differ_in_more_than_their_label_says_are_told_apart(tmp_path):
    for name, images in (("a", 500), ("b", 16)):
        leave(tmp_path / name, "data.levels=2", bits=0.5)
        add_to_metrics(tmp_path / name, test_images=500, val_images=images)
    labels = [group.label for group in groups(collect.runs_below(tmp_path))]
    assert labels == [f"mnist, 2 levels, 500 test images, val_images={images}" for images in (16, 500)]


def test_a_run_older_than_contexts_has_none(tmp_path):
    for name in ("a", "b"):
        leave(tmp_path / name, "data.levels=2", bits=0.5)
    record = tmp_path / "a" / RECORD
    record.write_text(re.sub(r"context:\n  name: none\n", "", record.read_text()))
    assert "context.name" not in collect.read(tmp_path / "a").config
    assert len(groups(collect.runs_below(tmp_path))) == 1
