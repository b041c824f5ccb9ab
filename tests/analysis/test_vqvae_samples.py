from __future__ import annotations

import sys

import pytest

from pixelcnn_lit.analysis import samples
from pixelcnn_lit.sample import main


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("precision=bfloat16", "precision=bfloat16: only for a density of images; vq is in float32"),
        ("split=val", "split=val: chooses images of a data set, and none are read here; leave it out"),
        (
            "data.dir=elsewhere",
            "data.dir=elsewhere: chooses images of a data set, and none are read here; leave it out",
        ),
        ("gif=true", "gif=true: only for a density of images; vq draws images through codes"),
    ],
)
def test_what_codes_do_not_heed_is_refused(tmp_path, monkeypatch, capfd, asked, message):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(samples, "has_priors", lambda path: True)
    monkeypatch.setattr(sys, "argv", ["sample", "ckpt=vq", asked])
    with pytest.raises(SystemExit):
        main()
    assert capfd.readouterr().err == f"error: {message}\n"
