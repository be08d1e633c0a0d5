"""What a browser can show, as the tag tells it and as strangers may send it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matomo_order_tracking.matomo_api.browser import (
    FEATURES,
    FLAGS,
    MAX_BODY_LENGTH,
    parse_features,
)

TOLD = {
    **{"pdf": 1, "qt": 0, "realp": 0, "wma": 0, "fla": 0, "java": 0, "ag": 0},
    **{"cookie": 1, "res": "1920x1080"},
}
NOTHING = dict.fromkeys(FLAGS, "0")


def parse(content):
    return parse_features(json.dumps(content).encode())


def test_features():
    expected = {**NOTHING, "pdf": "1", "cookie": "1", "res": "1920x1080"}
    assert parse(TOLD) == expected
    as_texts = {name: str(value) for name, value in TOLD.items()}
    assert parse(as_texts) == expected
    assert len(json.dumps(TOLD)) * 2 < MAX_BODY_LENGTH


@pytest.mark.parametrize(
    ("content", "features"),
    [
        # A phone has no list of plugins.
        ({"cookie": 1}, {**NOTHING, "cookie": "1"}),
        ({"cookie": 0, "res": "x"}, NOTHING),
        ({"cookie": 0, "res": 5}, NOTHING),
        ({"cookie": 0, "res": "0x0"}, NOTHING),
        ({"cookie": 0, "res": "123456x1"}, NOTHING),
        ({"cookie": 0, "res": "１x１"}, NOTHING),
        ({"cookie": 0, "res": "1x1\n"}, NOTHING),
        ({"res": "1920x1080"}, {}),
        ({}, {}),
        ([], {}),
        (None, {}),
        ("pdf", {}),
        ({"pdf": 2}, {}),
        ({"pdf": -1}, {}),
        ({"pdf": 1.0}, {}),
        ({"pdf": True}, {}),
        ({"pdf": None}, {}),
        ({"pdf": "１"}, {}),
        ({"pdf": [1]}, {}),
        ({"pdf": {"1": 1}}, {}),
        ({"pdf": "<script>"}, {}),
        ({"pdf": 1, "cid": "0123456789abcdef"}, {}),
        ({"pdf": 1, "token_auth": "x"}, {}),
    ],
)
def test_what_else_may_come(content, features):
    assert parse(content) == features


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[" * 250,
        b"9" * 250,
        b'{"pdf":1' + b" " * MAX_BODY_LENGTH + b"}",
        b'{"pdf":NaN}',
        b"\x00",
    ],
)
def test_no_json(body):
    assert parse_features(body) == {}


@given(
    st.binary(max_size=300)
    | st.dictionaries(
        st.sampled_from(FEATURES) | st.text(max_size=5),
        st.integers() | st.text(max_size=12) | st.none() | st.booleans(),
        max_size=10,
    ).map(lambda each: json.dumps(each).encode())
)
def test_strangers_tell_nothing_but_flags(body):
    features = parse_features(body)
    assert not features or features.keys() - {"res"} == set(FLAGS)
    assert {features[name] for name in FLAGS if features} <= {"0", "1"}
    assert len(features.get("res", "")) <= 11
