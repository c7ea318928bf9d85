"""Fixtures shared by all tests. Expensive ones are made once a session."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray


@pytest.fixture(scope="session")
def head_model():  # type: ignore[no-untyped-def]
    """The embedded head, from its cache after the first call."""
    from perse.head.embedded import embedded_head

    return embedded_head()


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """The sample portrait, [512, 512, 3] uint8 (NASA, public domain)."""
    import skimage.data

    return skimage.data.astronaut()


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    """No test depends on the ones before it through a random state."""
    torch.manual_seed(0)
    yield
