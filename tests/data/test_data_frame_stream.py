"""A streamed clip is the decoded clip to the bit, and never takes more memory than it was given."""

from __future__ import annotations

import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from perse.data import PortraitClip, archive
from perse.data.clip_file import ClipFile, Frame
from perse.data.frame_stream import LEAST_FRAMES, FrameStream, StreamedPictures
from perse.data.tables import clips as clip_tables
from perse.data.workspace import Workspace
from perse.errors import WorkspaceError
from perse.geometry.camera import Camera
from perse.head.parameters import HeadParameters

FRAMES, SIZE = 40, 64


def noisy_clip(seed: int) -> PortraitClip:
    """Pictures that compress badly, so that a row group is small."""
    rng = np.random.default_rng(seed)
    motion = HeadParameters(
        torch.zeros(4), torch.zeros(7, 3), torch.rand(FRAMES, 5), torch.rand(FRAMES, 5, 3)
    )  # fmt: skip
    return PortraitClip(
        key=f"subject-{seed}",
        frame_numbers=np.arange(0, 8 * FRAMES, 8, dtype=np.int32),
        images=rng.integers(0, 256, (FRAMES, SIZE, SIZE, 3), np.uint8),
        alphas=rng.integers(0, 256, (FRAMES, SIZE, SIZE), np.uint8),
        parts=rng.integers(0, 12, (FRAMES, SIZE, SIZE), np.uint8),
        parameters=motion,
        camera=Camera(torch.eye(4), torch.eye(3), SIZE, SIZE),
    )


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, list[PortraitClip]]:
    """Six clips whose rows lie in several row groups."""
    workspace = Workspace.open(tmp_path_factory.mktemp("stream") / "w")
    clips = [noisy_clip(seed) for seed in range(6)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clip_tables, "ROW_GROUP_BYTES", 7 * SIZE * SIZE * 5)
        for clip in clips:
            archive.save_clip(workspace, clip.key, clip)
    file = archive.open_clip(workspace, clips[0].key)
    assert file.metadata.num_row_groups > 4
    return workspace, clips


def opened(filmed: tuple[Workspace, list[PortraitClip]], number: int) -> ClipFile:
    workspace, clips = filmed
    return archive.open_clip(workspace, clips[number].key)


INDICES = st.one_of(
    st.integers(-FRAMES, FRAMES - 1),
    st.lists(st.integers(-FRAMES, FRAMES - 1), max_size=9),
    st.slices(FRAMES),
    st.lists(st.booleans(), min_size=FRAMES, max_size=FRAMES).map(np.array),
)


@settings(max_examples=60, deadline=None)
@given(index=INDICES)
def test_whatever_is_indexed_is_what_an_array_gives(
    filmed: tuple[Workspace, list[PortraitClip]], index: object
) -> None:
    clip = filmed[1][0]
    streamed = FrameStream(0).clip(opened(filmed, 0))
    for name in ("images", "alphas", "parts"):
        wanted, found = getattr(clip, name)[index], getattr(streamed, name)[index]
        assert found.dtype == wanted.dtype and found.shape == wanted.shape and (found == wanted).all()


def test_everything_but_the_pictures_is_there_at_once(filmed: tuple[Workspace, list[PortraitClip]]) -> None:
    clip, streamed = filmed[1][1], FrameStream(0).clip(opened(filmed, 1))
    assert streamed.key == clip.key and (streamed.frame_numbers == clip.frame_numbers).all()
    for name in ("betas", "vertex_offsets", "expression", "pose"):
        assert torch.equal(getattr(streamed.parameters, name), getattr(clip.parameters, name))
    assert streamed.images.shape == clip.images.shape and streamed.parts.shape == clip.parts.shape
    assert len(streamed.images) == FRAMES == len(list(streamed.alphas))
    one = opened(filmed, 1).clip(5)
    assert (one.images == clip.images[5:6]).all() and one.frame_numbers.tolist() == [40]
    assert torch.equal(one.parameters.pose, clip.parameters.pose[5:6])


def test_memory_stays_below_the_limit_however_much_is_read(filmed: tuple[Workspace, list[PortraitClip]]) -> None:
    files = [opened(filmed, number) for number in range(6)]
    frame_bytes = files[0].frame_bytes
    kept, decoders = LEAST_FRAMES + 16, 2
    order = np.random.default_rng(0).permutation(6 * FRAMES)
    stream = FrameStream(kept * frame_bytes, decoders=decoders)
    clips = [stream.clip(file) for file in files]
    tracemalloc.start()
    try:
        for flat in order:
            _ = clips[flat // FRAMES].images[int(flat % FRAMES)]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # Beside what is kept: a frame and its unswapped twin for each thread, and Python's own small objects.
    assert kept * frame_bytes < peak < (kept + 2 * decoders) * frame_bytes + 1.5e6
    assert peak < 0.5 * len(order) * frame_bytes


def test_what_was_announced_is_decoded_once_and_waits(
    filmed: tuple[Workspace, list[PortraitClip]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []
    decoded = threading.Event()
    original = ClipFile.decode

    def counting(self: ClipFile, row: int) -> Frame:
        frame = original(self, row)
        seen.append((threading.current_thread().name, row))
        decoded.set()
        return frame

    monkeypatch.setattr(ClipFile, "decode", counting)
    clip = FrameStream(0).clip(opened(filmed, 0))
    assert isinstance(clip.images, StreamedPictures)
    clip.images.expect(3)
    assert decoded.wait(30), "nobody asked for it yet, and it is there"
    _ = clip.images[3], clip.alphas[3], clip.parts[3], clip.images[[3, 3]]
    assert [row for _, row in seen] == [3]
    assert seen[0][0].startswith("decode")


def test_some_frames_of_a_streamed_clip_decode_nothing(
    filmed: tuple[Workspace, list[PortraitClip]], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = FrameStream(0).clip(opened(filmed, 2))
    assert isinstance(clip.images, StreamedPictures)
    with monkeypatch.context() as patch:
        patch.setattr(ClipFile, "decode", lambda self, row: pytest.fail("decoded"))
        few = clip.images.only(np.array([30, 2, 39]))
        assert few.shape == (3, SIZE, SIZE, 3)
    assert (few[:] == filmed[1][2].images[[30, 2, 39]]).all()


def test_damage_is_named_and_a_second_try_is_a_new_try(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "w")
    archive.save_clip(workspace, "c", noisy_clip(0))
    clip = FrameStream(0).clip(archive.open_clip(workspace, "c"))
    content = workspace.read("clips/c.parquet")
    workspace.remove("clips/c.parquet")
    with pytest.raises(WorkspaceError, match=r"clips/c\.parquet.*no such file"):
        _ = clip.images[0]
    workspace.write("clips/c.parquet", content)
    assert (clip.images[0] == noisy_clip(0).images[0]).all()
    workspace.write("clips/d.parquet", b"half a fi")
    with pytest.raises(WorkspaceError, match=r"d\.parquet"):
        archive.open_clip(workspace, "d")
    with pytest.raises(IndexError, match="40 frames"):
        archive.open_clip(workspace, "c").decode(40)


def test_other_filesystems_are_streamed_too() -> None:
    """As in `test_data_workspace`: whatever is not local takes the object store's path."""
    workspace = Workspace.open("mock:///bucket/stream")
    clip = noisy_clip(3)
    archive.save_clip(workspace, "c", clip)
    streamed = FrameStream(0).clip(archive.open_clip(workspace, "c"))
    assert (streamed.parts[10:20] == clip.parts[10:20]).all()
