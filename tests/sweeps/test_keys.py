from __future__ import annotations

import pytest
from hydra.errors import ConfigCompositionException

from pixelcnn_lit.sweeps.keys import left_to_the_jobs


def refused(key):
    return ConfigCompositionException(f"Could not override '{key}'.\nTo append to your config use +{key}=[1]")


@pytest.mark.parametrize("swept", ["model=pixelcnn,gated_pixelcnn", "model=choice(pixelcnn,gated_pixelcnn)"])
def test_a_key_that_the_default_option_lacks_is_left_to_the_jobs(swept):
    arguments = ["-m", swept, "model.dilations=[1]", "seed=1"]
    left = ["-m", swept, "++model.dilations=[1]", "seed=1"]
    assert left_to_the_jobs(arguments, refused("model.dilations")) == left
    assert left_to_the_jobs(left, refused("model.dilations")) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["model=gated_pixelcnn", "model.dilation=[1]"],  # no sweep
        ["-m", "model=gated_pixelcnn", "seed=1,2", "model.dilation=[1]"],  # all jobs have the same keys
        ["-m", "model=gated_pixelcnn,pixelcnn", "model.dilations=[1]"],  # another key was refused
    ],
)
def test_a_key_that_all_jobs_lack_is_refused_at_once(arguments):
    assert left_to_the_jobs(arguments, refused("model.dilation")) is None
