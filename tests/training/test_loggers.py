from __future__ import annotations

from types import SimpleNamespace

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2, get_experiment, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context

from pixelcnn_lit.config import compose
from pixelcnn_lit.training.loggers import TensorBoard
from pixelcnn_lit.training.summary import hyperparameters

NETWORKS = ("pixelcnn", "gated_pixelcnn", "pixelcnn_pp")


def hparams_tab(folder):
    """What TensorBoard's own backend gives its HParams tab: the columns of choices, of scores, and the rows."""
    runs = EventMultiplexer().AddRunsFromDirectory(str(folder))
    runs.Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(runs, str(folder))))
    request = api_pb2.GetExperimentRequest()
    experiment = get_experiment.Handler(RequestContext(), context, "", request).run()
    ended = api_pb2.ListSessionGroupsRequest(slice_size=9, allowed_statuses=[api_pb2.STATUS_SUCCESS])
    rows = list_session_groups.Handler(RequestContext(), context, "", ended).run()
    choices = {column.name for column in experiment.hparam_infos}
    return choices, {column.name.tag for column in experiment.metric_infos}, rows.session_groups


def test_the_hparams_tab_has_the_keys_of_all_runs_and_not_of_the_first_alone(tmp_path):
    asked = {name: hyperparameters(compose([f"model={name}"]), SimpleNamespace(source="files")) for name in NETWORKS}
    for number, name in enumerate(NETWORKS):
        logger = TensorBoard(tmp_path / name)
        logger.begin(asked[name])
        logger.end({"hparams/test": 0.5 + number, "hparams/val": None})
        logger.experiment.close()
    choices, scores, rows = hparams_tab(tmp_path)
    assert choices == {key for keys in asked.values() for key in keys}
    assert "hparams/test" in scores
    found = {row.hparams["model.name"].string_value: row for row in rows}
    assert found.keys() == asked.keys()
    for number, name in enumerate(NETWORKS):
        assert found[name].hparams.keys() == asked[name].keys()
        assert [value.value for value in found[name].metric_values if value.name.tag == "hparams/test"] == [
            pytest.approx(0.5 + number)
        ]
