"""Videos of a folder, prepared for portrait-Champ: one row a video, through Ray Data.

What is finished lies in the workspace under the video's content key and is skipped the next time. A video that cannot
be used (no face, too small, damaged, one that ends its worker) goes to quarantine with one line; the others go on.
"""

from __future__ import annotations

import logging
import secrets
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from perse.data import archive
from perse.data.file_digests import file_digest
from perse.data.keys import content_key
from perse.data.tables import QuarantinedRow
from perse.data.workspace import Workspace
from perse.errors import InputError, StageError
from perse.head.sources import HeadSource
from perse.synthesis.production.portrait_champ.footage import FootageConfig, FootageMaker
from perse.synthesis.production.portrait_champ.footage_sampler import Take, training_frames
from perse.synthesis.production.portrait_champ.footage_table import FootageFile, footage_name, save_footage
from perse.tracking.video_file import SUFFIXES, open_video
from perse_ray.rows.attempts import AttemptLedger
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.rows.quarantine import quarantined
from perse_ray.rows.stage import ERROR, FAILED, KEY, NAME, STATUS, Row, Stage, Value
from perse_ray.runtime.progress import Progress

log = logging.getLogger(__name__)

Executor = Callable[[Iterable[Mapping[str, Value]], tuple[Stage, ...], AttemptLedger], Iterator[Row]]
"""`rows.on_ray_data.run`, or `rows.in_process.run`."""


@dataclass(frozen=True, kw_only=True)
class PrepareVideo:
    """Work of one row: track, cut, draw, save."""

    workspace: Workspace
    """Where footage goes."""
    head: HeadSource
    """Of the guidance."""
    footage: FootageConfig
    """How videos are prepared."""
    held_out_every: int
    """Frames that training leaves out; a video must be long enough without them."""

    def build(self) -> PreparingVideos:
        return PreparingVideos(self)


class PreparingVideos:
    """Worker that prepares videos; see `PrepareVideo`."""

    def __init__(self, config: PrepareVideo) -> None:
        self._config = config
        self._maker = FootageMaker(config.footage, config.head.load())

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        """Size, length and number of frames of the footage."""
        config, key = self._config, str(row[KEY])
        if not config.workspace.has(footage_name(key)):
            with _local(str(row["path"])) as path:
                footage = self._maker.make(open_video(path, fps=config.footage.fps, limits=config.footage.limits))
            config.footage.length_of(len(training_frames(len(footage), config.held_out_every)))
            save_footage(config.workspace, key, footage)
        take = take_of(config, key, str(row[NAME]))
        return {"frames": take.frames, "size_px": take.size_px, "length": take.length}


def take_of(config: PrepareVideo, key: str, name: str) -> Take:
    """Take of finished footage: what there is to say about it."""
    file = FootageFile(config.workspace, key)
    frames = file.frame_count()
    length = config.footage.length_of(len(training_frames(frames, config.held_out_every)))
    return Take(key, name, frames, len(file.read([0]).frames[0]), length)


@dataclass(frozen=True)
class PreparedVideos:
    """Videos of a folder after their preparation.

    Attributes:
        takes: videos to train on, sorted by key.
        quarantined: the others.
    """

    takes: tuple[Take, ...]
    quarantined: tuple[QuarantinedRow, ...]


def prepare_videos(
    folder: str, work: PrepareVideo, stage_of: Callable[[PrepareVideo], Stage], *, execute: Executor,
    retry_failed: bool = False, show: Callable[[str], None] | None = None,
) -> PreparedVideos:  # fmt: skip
    """Videos of a folder, of which those that have no footage yet are prepared.

    Args:
        folder: a local path that all workers see, or an address (``s3://…``).
        stage_of: how the work is run.
        retry_failed: try videos again that are in quarantine.

    Raises:
        InputError: the folder is not there or holds no videos.
        StageError: not one video can be used, or a stage cannot start.
    """
    rows = _rows(folder, work)
    known = {row.key: row for row in archive.load_quarantined(work.workspace)}
    if retry_failed:
        for key in known:
            work.workspace.remove(f"quarantine/{key}.parquet")
        known = {}
    made = set(work.workspace.names("footage", ".parquet"))
    done = {str(row[KEY]): take_of(work, str(row[KEY]), str(row[NAME])) for row in rows if row[KEY] in made}
    waiting = [row for row in rows if row[KEY] not in known and row[KEY] not in made]
    ledger = AttemptLedger(work.workspace, secrets.token_hex(4))
    failed = 0
    with Progress("videos", len(waiting), write=show) if waiting else nullcontext() as progress:
        for row in execute(waiting, (stage_of(work),), ledger) if waiting else ():
            key, name = str(row[KEY]), str(row[NAME])
            if row[STATUS] == FAILED:
                failed += 1
                known[key] = quarantined(row)
                archive.save_quarantined(work.workspace, known[key])
                log.warning("%s cannot be used: %s", name, row[ERROR])
            else:
                done[key] = Take(key, name, int(row["frames"]), int(row["size_px"]), int(row["length"]))
            assert progress is not None, "there are rows"
            progress.advance(note=f"{failed} failed" if failed else "")
    ledger.close()
    refused = tuple(known[str(row[KEY])] for row in rows if row[KEY] in known)
    if not done:
        first = refused[0]
        raise StageError(f"not one video can be used; the first problem was: {first.name}: {first.error}")
    return PreparedVideos(tuple(done[key] for key in sorted(done)), refused)


def prepare_stage(work: PrepareVideo, **use: object) -> Stage:
    """Stage around the work; `use` is how it is run."""
    return Stage(
        name="prepare_video",
        work=work,
        reads=(KEY, NAME, "path"),
        writes=(("frames", 0), ("size_px", 0), ("length", 0)),
        **use,  # type: ignore[arg-type]
    )


def _rows(folder: str, work: PrepareVideo) -> list[Row]:
    made_with = fingerprint(work.footage, work.head)
    rows: list[Row] = []
    for name, path, digest in _videos(folder):
        key = content_key("footage", digest, work.footage, work.head, work.held_out_every, made_with)
        rows.append({KEY: key, NAME: name, "path": path})
    if not rows:
        raise InputError(f"there is no video in {folder}; expected files that end in {', '.join(SUFFIXES)}")
    return list({str(row[KEY]): row for row in rows}.values())  # copies of one video count once


def _videos(folder: str) -> Iterator[tuple[str, str, str]]:
    """Name, path and digest of each video."""
    if "://" in folder:
        place = Workspace(folder.rstrip("/"))
        parent, _, last = folder.rstrip("/").rpartition("/")
        names = Workspace(parent).names(last)
        yield from ((n, f"{folder.rstrip('/')}/{n}", place.fingerprint([n])) for n in names if n.endswith(SUFFIXES))
        return
    if not Path(folder).is_dir():
        raise InputError(f"there is no folder {folder}; give a folder with videos")
    for path in sorted(Path(folder).absolute().iterdir()):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            yield path.name, str(path), file_digest(path)


@contextmanager
def _local(path: str) -> Iterator[Path]:
    """A video as a local file; one of an address is fetched for as long as it is needed."""
    if "://" not in path:
        yield Path(path)
        return
    folder, _, name = path.rpartition("/")
    with tempfile.TemporaryDirectory(prefix="perse-video-") as held:
        target = Path(held) / name
        target.write_bytes(Workspace(folder).read(name))
        yield target
