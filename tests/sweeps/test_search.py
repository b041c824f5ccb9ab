from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import InstantiationException
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from pixelcnn_lit.errors import UserError
from pixelcnn_lit.messages import message
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.sweeps import cluster
from pixelcnn_lit.sweeps.study import distribution, open_study

SEARCH = ("name=search", "sweep=optuna", "optimizer.lr=tag(log, interval(1e-4, 1e-1))", "model.n_res=1,2")


def trials(folder):
    return open_study(folder)[0].trials


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "outputs" / "search"


def test_started_twice_again_it_reaches_exactly_n_trials(sweep, folder):
    seven = (*SEARCH, "hydra.sweeper.n_trials=7")
    for interrupted in ("002+", "004+"):
        with pytest.raises(KeyboardInterrupt, match="the same command goes on"):
            sweep(*seven, interrupts=[interrupted])
    assert [trial.state.name for trial in trials(folder)] == ["COMPLETE"] * 4 + ["RUNNING"]
    begun = trials(folder)[4].params
    assert [name[:4] for name in sweep(*seven)] == ["004+", "005+", "006+"]
    done = trials(folder)
    assert [trial.state for trial in done] == [TrialState.COMPLETE] * 7
    assert done[4].params == begun
    assert [path.name[:3] for path in sorted(folder.glob("0*"))] == [f"{number:03d}" for number in range(7)]
    assert done[0].value == pytest.approx(done[0].params["optimizer.lr"] + float(done[0].params["model.n_res"]))
    assert sweep(*seven) == []
    assert len(sweep(*SEARCH, "hydra.sweeper.n_trials=9")) == 2


def test_failed_trials_are_told_as_failed_and_count(sweep, folder):
    three = (*SEARCH, "hydra.sweeper.n_trials=3")
    with pytest.raises(UserError, match=r"1 of 3 jobs failed; 001\+.*: out of memory"):
        sweep(*three, fails=["001+"])
    complete, failed, _ = trials(folder)
    assert (complete.state, failed.state) == (TrialState.COMPLETE, TrialState.FAIL)
    assert failed.user_attrs["reason"] == "out of memory"
    with pytest.raises(UserError, match=r"1 of 4 jobs failed; .*: data.levels=0: must be an integer"):
        sweep("name=other", "sweep=optuna", "data.levels=0,4", "hydra.sweeper.n_trials=4", "hydra.sweeper.seed=1")
    assert sorted(trial.state.name for trial in trials(folder.parent / "other")) == ["COMPLETE"] * 3 + ["FAIL"]


def test_trials_run_side_by_side(sweep, folder):
    sweep(*SEARCH, "hydra.sweeper.n_trials=6", "launcher=joblib", "hydra.launcher.n_jobs=3")
    assert sorted(trial.number for trial in trials(folder)) == list(range(6))
    assert {trial.state for trial in trials(folder)} == {TrialState.COMPLETE}


def test_another_search_under_the_same_name_is_refused(sweep, folder):
    two = (*SEARCH, "hydra.sweeper.n_trials=2")
    sweep(*two)
    with pytest.raises(UserError, match=r"outputs/search: the search there has nothing, not seed=5"):
        sweep(*two, "seed=5")
    assert len(sweep(*two, "seed=5", "overwrite=true")) == 2
    assert len(trials(folder)) == 2
    with pytest.raises(UserError, match="nothing to search"):
        sweep("name=none", "sweep=optuna")
    with pytest.raises(InstantiationException) as caught:
        sweep(*SEARCH, "hydra.sweeper.n_trials=many")
    assert message(caught.value) == "hydra.sweeper.n_trials='many': must be an integer of at least 1"


def test_overwrite_deletes_no_search_for_trials_of_which_none_could_run(sweep, folder):
    two = (*SEARCH, "hydra.sweeper.n_trials=2")
    sweep(*two)
    before = sorted(path.relative_to(folder) for path in folder.rglob("*"))
    with pytest.raises(UserError, match=r"^model.hidden=-1: must be an integer"):
        sweep(*two, "model.hidden=-1", "overwrite=true")
    assert sweep.ran == []
    assert sorted(path.relative_to(folder) for path in folder.rglob("*")) == before
    assert sweep(*two) == []
    with pytest.raises(UserError, match=r"jobs failed; .*data.levels=0: must be an integer"):
        sweep(*two[:2], "data.levels=0,4", "overwrite=true", "hydra.sweeper.n_trials=4", "hydra.sweeper.seed=0")
    assert sweep.ran


def test_overwrite_deletes_what_a_search_wrote_and_no_other_file(sweep, folder, monkeypatch):
    monkeypatch.setattr(cluster, "_queued", lambda: set())  # as a Slurm of which the job is gone
    two = (*SEARCH, "hydra.sweeper.n_trials=2")
    first, second = sweep(*two)
    (folder / first / "notes.txt").write_text("mine")
    (folder / first / ".slurm_job").write_text("7_0")
    sweep(*two, "overwrite=true", "optimizer.lr=0.3,0.4")
    assert [path.name for path in (folder / first).iterdir()] == ["notes.txt"]
    assert not (folder / second).exists()
    assert len(trials(folder)) == 2


def test_overwrite_deletes_nothing_while_a_trial_of_the_search_runs(sweep, folder):
    two = (*SEARCH, "hydra.sweeper.n_trials=2")
    names = sweep(*two)
    for name in names:
        with run_folder.held(folder / name), pytest.raises(UserError, match="another process is writing there"):
            sweep(*two, "overwrite=true")
    assert all((folder / name / "metrics.json").exists() for name in names)
    assert sweep(*two) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("5,15", CategoricalDistribution(["5", "15"])),
        ("choice(a,b)", CategoricalDistribution(["a", "b"])),
        ("interval(0,1)", FloatDistribution(0, 1)),
        ("tag(log, interval(1e-4, 1))", FloatDistribution(1e-4, 1, log=True)),
        ("int(interval(1,9))", IntDistribution(1, 9)),
        ("range(1,9,2)", IntDistribution(1, 7, step=2)),
    ],
)
def test_overrides_say_the_space(text, expected):
    (override,) = OverridesParser.create().parse_overrides([f"key={text}"])
    assert distribution(override) == expected


def test_a_space_that_is_none_is_told():
    (override,) = OverridesParser.create().parse_overrides(["key=tag(log, interval(-1, 1))"])
    with pytest.raises(UserError, match=r"key=tag\(log, interval\(-1, 1\)\): "):
        distribution(override)


def without_validation(*overrides):
    return ("name=search", "sweep=optuna", "optimizer.lr=0.01,0.02", "hydra.sweeper.n_trials=2", *overrides)


@pytest.mark.parametrize("override", ["trainer.limit_val_batches=0", "trainer.limit_val_batches=0.0"])
def test_a_search_without_validation_is_refused_before_it_has_a_folder(sweep, folder, override):
    with pytest.raises(UserError, match=r"^trainer.limit_val_batches=0: a search needs the validation"):
        sweep(*without_validation(override))
    assert sweep.ran == []
    assert not folder.exists()
    assert len(sweep(*without_validation("trainer.limit_val_batches=1"))) == 2
    assert len(sweep(*without_validation(override, "trainer.fast_dev_run=true", "name=fast"))) == 2


def test_trials_that_turn_validation_off_fail_before_they_run(sweep, folder):
    space = ("name=search", "sweep=optuna", "trainer.limit_val_batches=0,4", "hydra.sweeper.seed=0")
    with pytest.raises(UserError, match=r"jobs failed; .*trainer.limit_val_batches=0: a search needs the validation"):
        sweep(*space, "hydra.sweeper.n_trials=4")
    states = {trial.params["trainer.limit_val_batches"]: trial.state.name for trial in trials(folder)}
    assert states == {"0": "FAIL", "4": "COMPLETE"}
    assert all(name.endswith("limit_val_batches-4") for name in sweep.ran)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_runs_without_a_validation_result_are_failed_trials_now_and_at_the_next_start(sweep, folder, capsys, value):
    for _ in range(2):
        with pytest.raises(UserError, match=r"2 of 2 jobs failed; 000\+.*: finished without val/bits_per_dim"):
            sweep(*without_validation(), **{"val/bits_per_dim": value})
        assert {trial.state.name for trial in trials(folder)} == {"FAIL"}
        table = capsys.readouterr().out
        assert "failed" in table
        assert "finished before" not in table
    assert sweep.ran == []
