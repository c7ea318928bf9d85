"""The command's refusals: one line each, before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from perse_ray.commands.transfer_attribute import run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--part", "glasses"], "an avatar has no category 'glasses'; choose one of beard, clothes, earrings"),
        (["--part", "hat", "--name", "a=b"], "without = + *"),
        (["--part", "hat"], "holds no finished avatar"),
    ],
)
def test_refusals(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["--image", "nobody.jpg", "--workspace", str(tmp_path / "none"), *words])
    written = capsys.readouterr().err
    assert code == 2
    assert said in written and written.count("\n") == 1
    assert not (tmp_path / "none").exists()
