"""Errors that are nobody's mistake on purpose: what they say, and where."""

from __future__ import annotations

import json

import pytest

from helpers.builders import tiny_density
from pixelcnn_lit.errors import in_words, own_line


def broken(so_far):
    raise KeyError("hmm")


def caught(work):
    with pytest.raises((KeyError, ValueError)) as error:
        work()
    return error.value


def test_the_line_of_a_users_function_that_the_package_called_is_told():
    line = broken.__code__.co_firstlineno + 1
    error = caught(lambda: tiny_density().sample(1, progress=broken))
    assert in_words(error) == f"KeyError: 'hmm', in line {line} of test_errors.py"


def test_what_calls_the_package_or_is_installed_is_not_told():
    assert in_words(caught(lambda: broken(None))) == "KeyError: 'hmm'"
    assert own_line(caught(lambda: tiny_density().sample(1, method="none"))) is None
    error = caught(lambda: tiny_density().sample(1, progress=lambda so_far: json.loads("{")))
    assert "in line" in in_words(error)
    assert "test_errors.py" in in_words(error), "and not the line of json in which it was raised"


def test_a_value_error_says_what_is_wrong_without_its_type():
    assert in_words(ValueError("must be\n 2")) == "must be 2"
    assert in_words(RuntimeError()) == "RuntimeError"
