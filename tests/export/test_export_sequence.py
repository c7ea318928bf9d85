"""A motion as numbered files, with the names that SuperSplat takes for frames of one animation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from perse.errors import InputError
from perse.export import Provenance, SplatScene, export_sequence, frame_paths, is_numbered, read_splats, verify_file

SUPERSPLAT = re.compile(r"(.*?)(\d+)(?:\.compressed)?\.ply")
"""What `isPlySequence` of its file handler asks of all names, in lower case; the first group has to be the same."""


@pytest.mark.parametrize("ending", [".ply", ".compressed.ply"])
def test_names_are_those_of_a_sequence(ending: str) -> None:
    paths = frame_paths(Path(f"nowhere/Me2_####{ending}"), 112)
    matches = [SUPERSPLAT.fullmatch(path.name.lower()) for path in paths]
    assert {match[1] for match in matches if match} == {"me2_"}
    assert [int(match[2]) for match in matches if match] == list(range(112))


def test_each_file_holds_its_frame(scene: SplatScene, provenance: Provenance, tmp_path: Path) -> None:
    written = export_sequence(scene, tmp_path / "a_###.ply", "ply", provenance)
    assert [path.name for path in written] == [f"a_{number:03d}.ply" for number in range(scene.n_frames)]
    for number, path in enumerate(written):
        # Metres: a .ply holds float32.
        assert torch.allclose(read_splats(path).means, scene.still(number).means, atol=1e-6)
    assert verify_file(written[-1]).provenance == provenance
    assert (scene.still(0).means - scene.still(1).means).abs().max() > 1e-4  # the test can tell


def test_a_shorter_sequence_over_a_longer_one_is_refused(
    scene: SplatScene, provenance: Provenance, tmp_path: Path
) -> None:
    place = tmp_path / "a_##.ply"
    for number in range(scene.n_frames + 2):
        (tmp_path / f"a_{number:02d}.ply").write_bytes(b"old")
    with pytest.raises(InputError, match="another sequence"):
        export_sequence(scene, place, "ply", provenance)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"old"}, "nothing is lost"
    for number in range(scene.n_frames, scene.n_frames + 2):
        (tmp_path / f"a_{number:02d}.ply").unlink()
    export_sequence(scene, place, "ply", provenance)  # the same length again: written over


@pytest.mark.parametrize("name", ["a_#b_#.ply", "#a.ply", "a#.b#.ply", "a_#.ply", "a2##.ply"])
def test_names_without_room_are_refused(name: str, tmp_path: Path) -> None:
    assert is_numbered(Path(name))
    with pytest.raises(InputError, match="#"):
        frame_paths(tmp_path / name, 11)
