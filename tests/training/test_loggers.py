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
from pixelcnn_lit.scores import BITS
from pixelcnn_lit.storage import run_folder
from pixelcnn_lit.training.loggers import TensorBoard, begin
from pixelcnn_lit.training.summary import hyperparameters, swept_values

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
        logger.log_metrics({"test/bits_per_dim": 0.5 + number, "epoch": 3}, 7)
        logger.end(BITS, None, 7)
        logger.experiment.close()
    choices, scores, rows = hparams_tab(tmp_path)
    assert choices == {key for keys in asked.values() for key in keys}
    assert scores == {"bits_per_dim/test"}
    found = {row.hparams["model.name"].string_value: row for row in rows}
    assert found.keys() == asked.keys()
    for number, name in enumerate(NETWORKS):
        assert found[name].hparams.keys() == asked[name].keys()
        assert [value.value for value in found[name].metric_values if value.name.tag == "bits_per_dim/test"] == [
            pytest.approx(0.5 + number)
        ]


def test_the_hparams_tab_of_a_sweep_has_what_was_swept_alone(tmp_path):
    for name, lr in (("pixelcnn", "1e-3"), ("pixelcnn_pp", "1e-2")):
        swept = [f"model={name}", f"optimizer.lr={lr}"]
        run_folder.note_overrides(tmp_path / name, ["seed=3", *swept], swept)
        config = compose(["seed=3", *swept])
        logger = TensorBoard(tmp_path / name)
        choices = hyperparameters(config, SimpleNamespace(source="files"))
        begin([logger], choices, swept_values(tmp_path / name, config))
        logger.end(BITS, 0.5, 7)
        logger.experiment.close()
    choices, scores, rows = hparams_tab(tmp_path)
    assert (choices, scores) == ({"model", "optimizer.lr"}, {"bits_per_dim/best_val"})
    assert sorted(row.hparams["optimizer.lr"].number_value for row in rows) == [0.001, 0.01]
    assert swept_values(tmp_path, config) == {}
