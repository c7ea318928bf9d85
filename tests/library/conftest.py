"""A small avatar with prompts as the pipeline writes them, in a workspace ``runs/me``."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_avatar import described_avatar

import perse
from perse.attributes import Category
from perse.avatar import Subject, save_avatar

PROMPTS = {
    Category.HAT: ("A person wearing a teal beanie", "A person wearing a navy top hat with a white band"),
    Category.BEARD: ("A person with a long white full beard", "A person with a medium blonde moustache"),
    Category.HAIR: ("A person with curly red hair",),
}


@pytest.fixture(scope="session")
def runs(head_model, tiny_clips, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    """A folder with ``runs/me`` in it."""
    subjects = [Subject(tiny_clips[0][0].key, None, "")]
    subjects += [Subject(f"{number:032x}", *row) for number, row in enumerate(_rows(), 11)]
    folder = tmp_path_factory.mktemp("library") / "runs" / "me"
    save_avatar(described_avatar(head_model, tiny_clips, subjects), folder / "avatar")
    return folder.parents[1]


def _rows() -> list[tuple[Category, str]]:
    return [(category, text) for category, texts in PROMPTS.items() for text in texts]


@pytest.fixture(scope="session")
def avatar(runs: Path) -> perse.HeadAvatar:
    return perse.load(runs / "runs" / "me")
