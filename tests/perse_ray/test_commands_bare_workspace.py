"""A workspace may stand bare before all options; what is missing is said in a line."""

from __future__ import annotations

import pytest

from perse_ray.commands import export, render
from perse_ray.commands.command_line import workspace_first


def test_a_bare_first_word_is_the_workspace() -> None:
    assert workspace_first(["runs/me", "--open"]) == ["--workspace", "runs/me", "--open"]
    for words in ([], ["--open"], ["--workspace", "runs/me"], ["x", "--workspace", "runs/me"]):
        assert workspace_first(words) == words


@pytest.mark.parametrize(
    ("run", "said"),
    [(render.run, "perse render turntable runs/body --out"), (export.run, "perse export runs/body --out")],
)
def test_what_to_type_is_said_in_one_line(run, said: str, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    assert run(["runs/body"]) == 2
    error = capsys.readouterr().err.strip()
    assert said in error and "\n" not in error
