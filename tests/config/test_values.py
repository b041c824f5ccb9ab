from __future__ import annotations

import pytest

from pixelcnn_lit.config import SampleConfig, TrainConfig, check, compose
from pixelcnn_lit.config.values import completions, listed_values


@pytest.mark.parametrize(
    ("section", "key", "values"),
    [
        (SampleConfig, "occlude", "bottom top left right centre random null"),
        (SampleConfig, "workers", "auto"),
        (SampleConfig, "gif", "true false"),
        (TrainConfig, "optimizer.schedule", "constant cosine exponential"),
        (TrainConfig, "data.binarize", "dynamic null"),
        (TrainConfig, "model.orders", "1 2 4 8"),
        (TrainConfig, "trainer.deterministic", "true false warn null"),
        (TrainConfig, "model.hidden", ""),
        (TrainConfig, "model.none.such", ""),
        (TrainConfig, "", ""),
    ],
)
def test_the_listed_values_a_key_are_those_of_its_type(section, key, values):
    assert listed_values(section, key) == values.split()


def test_a_word_becomes_an_override_that_is_right():
    (word,) = completions(TrainConfig, "optimizer.schedule=cos")
    assert check(compose([word]).model_dump(mode="json"), TrainConfig).optimizer.schedule == "cosine"
    assert completions(TrainConfig, "model.orders=2,4") == ["model.orders=2,4"]
    assert completions(TrainConfig, "+data.binarize=d") == ["+data.binarize=dynamic"]
    assert completions(TrainConfig, "optimizer.sched") == []
