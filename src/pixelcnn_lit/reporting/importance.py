"""What Optuna knows of the keys of a search: on which scale each was drawn, and how much it matters."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import TrialState

from pixelcnn_lit.reporting.compare import Group
from pixelcnn_lit.sweeps.study import trials_in

FEWEST = 8
"""So many runs have to be finished: the importance of keys from fewer is chance."""


def scales(group: Group) -> dict[str, bool]:
    """Whether keys of a search were drawn on a logarithmic scale; without those that are no numbers or differ in it."""
    found: dict[str, set[bool]] = {}
    for folder in {run.folder.parent for run in group.runs if run.trial is not None}:
        for trial in trials_in(folder):
            for key, space in trial.distributions.items():
                if isinstance(space, FloatDistribution | IntDistribution):
                    found.setdefault(key, set()).add(space.log)
    return {key: logs.pop() for key, logs in found.items() if len(logs) == 1}


def importance(group: Group) -> dict[str, float]:
    """The share of each key in what the runs of a search differ by in validation, the largest first.

    They are those of fANOVA: of the variance of a random forest's prediction over the whole space of the search, what
    a key alone explains, divided by the sum over keys (Hutter, Hoos, Leyton-Brown: "An Efficient Approach for Assessing
    Hyperparameter Importance", ICML 2014). Empty for runs of no search or of several, for fewer than :data:`FEWEST`
    finished runs, and for fewer than two keys.
    """
    folders = {run.folder.parent for run in group.runs}
    if len(folders) != 1:
        return {}
    here = {run.trial for run in group.runs}
    trials = [
        trial
        for trial in trials_in(Path(*folders))
        if trial.number in here and trial.state == TrialState.COMPLETE and len(set(trial.params)) > 1
    ]
    if len(trials) < FEWEST:
        return {}
    study = optuna.create_study()
    study.add_trials(trials)
    keys = [key for key in trials[0].params if len({trial.params.get(key) for trial in trials}) > 1]
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0), params=keys) if keys[1:] else {}
