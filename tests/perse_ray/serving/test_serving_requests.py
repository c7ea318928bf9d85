"""Requests from anybody: understood or refused, and never anything else."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from perse.attributes import Category
from perse_ray.serving.http.stream import BadMessage, WantedView
from perse_ray.serving.schema.media_requests import between
from perse_ray.serving.schema.requests import Appearance, Description, RenderRequest, explained, terms

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = [*sorted(RenderRequest.model_fields), "received", "tag", "nonsense"]
NAMES = st.sampled_from(["red", "blue", "text", "image"])
MIXES = st.dictionaries(NAMES, st.floats(-0.5, 1.5), max_size=3)
DESCRIPTIONS = st.builds(Description, text=st.sampled_from(["a cap", "a crown"]), weight=st.floats(-0.5, 1.5))
ATTRIBUTES = st.dictionaries(
    st.sampled_from(list(Category)), MIXES | DESCRIPTIONS | st.lists(MIXES | DESCRIPTIONS, max_size=3), max_size=3
)


@given(st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3), max_size=4))
def test_a_streams_look_is_always_one_that_can_be_drawn(messages: list[dict[str, Any]]) -> None:
    async def go() -> None:
        scene = WantedView()
        for message in messages:
            before = scene.request
            try:
                scene.take(json.dumps(message))
            except BadMessage as refusal:
                assert scene.request == before and 0 < len(str(refusal)) <= 300
            assert RenderRequest.model_validate(scene.request.model_dump()) == scene.request

    asyncio.run(go())


@given(st.dictionaries(st.sampled_from([c.value for c in Category]), JSON, max_size=3))
def test_attributes_are_understood_or_explained(attributes: dict[str, Any]) -> None:
    try:
        look = Appearance.model_validate({"attributes": attributes})
    except ValidationError as error:
        assert all(0 < len(explained(problem)) <= 300 for problem in error.errors())  # type: ignore[arg-type]
    else:
        assert Appearance.model_validate_json(look.model_dump_json()) == look


@given(ATTRIBUTES, ATTRIBUTES, st.floats(0, 1))
def test_between_two_looks_every_weight_is_between_its_own(start: Any, end: Any, share: float) -> None:
    a, b = Appearance(attributes=start), Appearance(attributes=end)
    mixed = between(a, b, share)
    for category in Category:
        expected = {}
        for look, part in ((a, 1 - share), (b, share)):
            for name, weight in _weights(look, category):
                expected[name] = expected.get(name, 0.0) + part * weight
        found: dict[str, float] = {}
        for name, weight in _weights(mixed, category):
            found[name] = found.get(name, 0.0) + weight
        assert found.keys() == expected.keys()
        assert all(abs(found[name] - expected[name]) < 1e-9 for name in found)  # float64 sums of a few weights


def _weights(look: Appearance, category: Category) -> list[tuple[str, float]]:
    pairs: list[tuple[str, float]] = []
    for term in terms(look.attributes.get(category, {})):
        pairs += [(f"described {term.text}", term.weight)] if isinstance(term, Description) else list(term.items())
    return pairs
