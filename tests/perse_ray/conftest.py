"""A small real avatar, for tests that need one."""

from __future__ import annotations

import pytest
from small_training import SmallTraining, make_small_training

from perse.avatar import PartBasesConfig
from perse.head import HeadModel


@pytest.fixture(scope="session")
def small_training(head_model: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> SmallTraining:
    """An avatar of a few hundred points with two hats and two shirts, on clips of four frames of 48 px, in a
    workspace; and its trainer."""
    return make_small_training(head_model, tmp_path_factory.mktemp("small") / "small", PartBasesConfig())


@pytest.fixture(scope="session")
def small_networks(head_model: HeadModel, tmp_path_factory: pytest.TempPathFactory) -> SmallTraining:
    """The same with the paper's decoder."""
    from synthetic_avatar import NETWORKS

    return make_small_training(head_model, tmp_path_factory.mktemp("networks") / "small", NETWORKS)
