"""Row works that behave, and some that do not. Importable by workers, so that they travel by name."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import signal
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import safetensors.torch
import torch

from perse.attributes import Category, Part
from perse.data import AttributePrompt, EditedPortrait, PartMasks, PortraitClip, TrackedPortrait
from perse.data.workspace import Workspace
from perse.errors import RecipeError, TrainingDiverged, WorkspaceError
from perse.geometry.camera import Camera
from perse.head import HeadModel, HeadParameters
from perse.morphing import MorphCost
from perse.synthesis.seams import PortraitAnimator, PortraitEditor, QualityScreen, Shot, Verdict
from perse.training import Checkpoint, Replicas, Trainer
from perse_ray.rows.stage import Pool, RowWork, Value
from perse_ray.synthesis.stages import SynthesisConfig
from perse_ray.training.loops import TrainingLoop
from perse_ray.training.morph_work import Made, MorphMaker, MorphWork
from perse_ray.training.seam import WorkerPlace


def note(journal: str, line: str) -> None:
    """Append a line to a file, so that tests can count what happened in other processes."""
    with open(journal, "a") as stream:
        stream.write(line + "\n")


def suffer(mishap: str) -> None:
    """Raise, fill the disk, exit, crash or hang, if that is what the word says."""
    if mishap == "raise":
        raise RuntimeError("two\nlines")
    if mishap == "full":
        raise WorkspaceError("the disk is full")
    if mishap == "exit":
        os._exit(7)
    if mishap == "segfault":
        ctypes.string_at(0)
    if mishap == "hang":
        time.sleep(3600)
    if mishap == "killed":  # as the kernel does when memory is short
        os.kill(os.getpid(), signal.SIGKILL)
    if mishap == "abort":
        os.abort()
    if mishap == "interrupt":
        raise KeyboardInterrupt
    if mishap == "leave":
        sys.exit(3)
    if mishap == "memory":
        np.ones(2**46, np.uint8)
    if mishap == "recursion":
        suffer(mishap)
    if mishap == "unprintable":
        raise Unprintable
    if mishap == "surrogates":
        raise RuntimeError("b\udcffd " * 10_000)


class Unprintable(Exception):
    """Says nothing, and dies of being asked."""

    def __str__(self) -> str:
        raise ValueError("no")


@dataclass(frozen=True)
class Square:
    """Squares `number` into `square`; rows named after a mishap suffer it.

    Attributes:
        journal: a file that every start of a row is appended to, so that tests can count.
    """

    journal: str

    def build(self) -> RowWork:
        return self._work

    def _work(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        note(self.journal, str(row["name"]))
        suffer(str(row["name"]).partition("-")[0])
        number = row["number"]
        assert isinstance(number, int)
        return {"square": number * number}


@dataclass(frozen=True)
class Negate:
    """Negates `square` into `negative`."""

    def build(self) -> RowWork:
        return lambda row: {"negative": -int(row["square"])}


@dataclass(frozen=True)
class Until:
    """Rows from a number on wait until a journal has a word; one that has waited too long writes `late` and goes on."""

    journal: str
    word: str
    first: int
    limit_s: float = 60.0

    def build(self) -> RowWork:
        return self._work

    def _work(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        journal, begun = Path(self.journal), time.monotonic()
        while int(row["number"]) >= self.first and not {self.word, "late"} & set(journal.read_text().split()):
            if time.monotonic() - begun > self.limit_s:
                with journal.open("a") as file:
                    file.write("late\n")
            time.sleep(0.05)
        return {}


@dataclass(frozen=True)
class Homeless:
    """A work that cannot be built."""

    def build(self) -> RowWork:
        from perse.errors import MissingWeightsError

        raise MissingWeightsError("the model is not there; run `make models`")


# A studio of fakes that obeys the Protocols of perse.synthesis.seams.


def small_portrait(key: str = "someone") -> TrackedPortrait:
    """A complete tracked portrait of 8 px."""
    head = HeadParameters(torch.zeros(2), torch.zeros(3, 3), torch.zeros(2), torch.zeros(5, 3))
    return TrackedPortrait(
        key=key,
        image=np.tile(np.arange(80, 96, 2, dtype=np.uint8)[:, None, None], (1, 8, 3)),
        inside=np.full((8, 8), 255, np.uint8),
        landmarks_px=np.zeros((478, 3), np.float32),
        masks=_masks(),
        head=head,
        camera=Camera(torch.eye(4), torch.eye(3), 8, 8),
        face_width_px=4.0,
        fit_rms_px=0.0,
    )


def _masks() -> PartMasks:
    soft = np.zeros((len(Part), 8, 8), np.uint8)
    soft[Part.SKIN] = 255
    return PartMasks(soft, np.full((8, 8), 255, np.uint8))


@dataclass(frozen=True)
class FakeHead:
    """Stands for a head model; the fakes look at nothing of it."""

    def load(self) -> HeadModel:
        return cast(HeadModel, None)


@dataclass(frozen=True)
class FakeEditor:
    """Paints the prompt's seed. A prompt whose text names a mishap suffers it."""

    journal: str

    def build(self, head: HeadModel) -> PortraitEditor:
        return self

    def edit(self, portrait: TrackedPortrait, prompt: AttributePrompt) -> EditedPortrait:
        note(self.journal, f"edit {prompt.key}")
        suffer(prompt.text)
        image = portrait.image.copy()
        image[2:4, 2:4] = prompt.seed % 251
        if prompt.text == "nan":
            image = np.full(image.shape, np.nan)
        if prompt.text == "nothing":
            return cast(EditedPortrait, None)
        if prompt.text == "black":
            image[:] = 0
        if prompt.text == "small":
            image = image[:4]
        mask = np.zeros((8, 8), np.uint8)
        mask[2:4, 2:4] = 255
        return EditedPortrait("its own", prompt, image, portrait.masks, mask, (), None, (("backend", "fake"),))


@dataclass(frozen=True)
class FakeScreen:
    """Rejects what its text asks it to."""

    def build(self, head: HeadModel) -> QualityScreen:
        return self

    def screen(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Verdict:
        bad = "reject" in edited.prompt.text
        return Verdict(not bad, ("asked to",) if bad else (), (("identity", 0.1),))


@dataclass(frozen=True)
class FakeAnimator:
    """The same picture in every frame, after a pause."""

    journal: str
    pause_s: float = 0.0

    def build(self, head: HeadModel) -> PortraitAnimator:
        return self

    def animate(self, portrait: TrackedPortrait, edited: EditedPortrait | None, shot: Shot) -> PortraitClip:
        note(self.journal, f"animate {edited.prompt.key if edited else 'reference'}")
        time.sleep(self.pause_s)
        frames = len(shot.frame_numbers)
        image = (edited or portrait).image
        image = image[:: len(image) // shot.size_px, :: len(image) // shot.size_px]
        return PortraitClip(
            key="its own",
            frame_numbers=shot.frame_numbers,
            images=np.repeat(image[None], frames, 0),
            alphas=np.full((frames, 8, 8), 255, np.uint8),
            parts=np.full((frames, 8, 8), int(Part.SKIN), np.uint8),
            parameters=shot.motion.with_identity(portrait.head),
            camera=portrait.camera,
        )


@dataclass(frozen=True)
class FakeFilming:
    """Frames 0, 8, 400."""

    def shot(self, head: HeadModel) -> Shot:
        motion = HeadParameters(torch.zeros(2), torch.zeros(3, 3), torch.zeros(3, 2), torch.zeros(3, 5, 3))
        return Shot(np.array([0, 8, 400], np.int32), motion, 8)


@dataclass(frozen=True)
class FakeSupply:
    """`count` prompts each of hats and noses; texts by key say what happens to them. Twenty reserves each."""

    count: int
    texts: tuple[tuple[str, str], ...] = ()

    def plan(self) -> list[AttributePrompt]:
        return [prompt for c in (Category.HAT, Category.NOSE) for prompt in islice(self._stream(c), self.count)]

    def reserves(self, category: Category) -> Iterator[AttributePrompt]:
        return islice(self._stream(category), self.count, self.count + 20)

    def _stream(self, category: Category) -> Iterator[AttributePrompt]:
        for number in range(1000):
            key = f"{category.value}-{number:04d}"
            yield AttributePrompt(key, category, (), dict(self.texts).get(key, "fine"), number)


def fake_studio(journal: Path, pause_s: float = 0.0) -> SynthesisConfig:
    pool = Pool(time_limit_s=20.0, max_attempts=1)  # a prompt that ends its worker once is out: tests are short
    return SynthesisConfig(
        head=FakeHead(),
        editor=FakeEditor(str(journal)),
        screen=FakeScreen(),
        animator=FakeAnimator(str(journal), pause_s),
        filming=FakeFilming(),
        edit_pool=pool,
        screen_pool=pool,
        animate_pool=pool,
    )


# A training whose whole state is a chain of hashes: any step that is skipped, repeated or out of order shows.


@dataclass(frozen=True)
class ChainReport:
    step: int
    loss: float


@dataclass
class Chain:
    """Link n is the hash of link n − 1 and n."""

    step_number: int
    link: bytes
    config: ChainConfig
    replicas: Replicas
    is_settled: bool = True

    def step(self) -> ChainReport:
        mishap = Path(self.config.once) if self.config.once else None
        if mishap and self.step_number == 7 and not mishap.exists():
            mishap.touch()
            os._exit(9)
        if self.step_number == 7 and self.config.diverges:
            journal = Path(self.config.diverges)
            note(str(journal), "diverged")
            if journal.read_text().count("diverged") <= self.config.diverges_times:
                raise TrainingDiverged("5 steps in a row")
        time.sleep(self.config.pause_s)
        self.is_settled = self._keeps_its_link()
        if self.is_settled:
            self.link = hashlib.sha256(self.link + str(self.step_number).encode()).digest()
        self.step_number += 1
        return ChainReport(self.step_number - 1, 1.0 / self.step_number)

    def _keeps_its_link(self) -> bool:
        """Whether the step counts; steps 7 to 11 are skipped once, and the last of them is one too many."""
        if not self.config.skips or not 7 <= self.step_number <= 11 or Path(self.config.skips).exists():
            return True
        logging.getLogger("perse").warning("step %d of a hat is skipped", self.step_number)
        if self.step_number == 11:
            note(self.config.skips, "rewound")
            raise TrainingDiverged("5 steps in a row")
        return False

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.step_number, {"link": self.link})

    def check_replicas(self) -> None:
        if self.config.drift:
            self.replicas.check_equal(str(self.replicas.rank), "parameters")

    def close(self) -> None:
        pass


@dataclass(frozen=True)
class ChainConfig:
    """`once` names a file; while it is absent, step 7 makes it and ends the process. `drift` lets workers disagree.
    `diverges` names a journal; step 7 diverges so many times. `skips` names one for steps that are skipped."""

    steps: int = 20
    pause_s: float = 0.0
    once: str = ""
    error: str = ""
    drift: bool = False
    diverges: str = ""
    diverges_times: int = 1
    skips: str = ""

    def build(self, start: Checkpoint, place: WorkerPlace) -> Chain:
        if self.error:
            raise RecipeError(self.error)
        return Chain(start.step, start.files["link"], self, place.replicas)


@dataclass(frozen=True, kw_only=True)
class GradientsOnly:
    """A real training that looks at its gradients once and writes them to a file instead of stepping."""

    loop: TrainingLoop
    target: str
    steps: int = 1

    def build(self, start: Checkpoint, place: WorkerPlace) -> GradientProbe:
        return GradientProbe(self.loop.build(start, place).trainer, f"{self.target}-{place.replicas.rank}", start)


@dataclass
class GradientProbe:
    trainer: Trainer
    target: str
    start: Checkpoint
    step_number: int = 0
    is_settled: bool = True

    def step(self) -> ChainReport:
        self.trainer.step_number = self.trainer.config.steps // 2  # all networks take part
        self.trainer.gradients(self.trainer.sample(0))
        found = {name: p.grad for name, p in self.trainer.avatar.named_parameters() if p.grad is not None}
        Path(self.target).write_bytes(safetensors.torch.save(found))
        self.step_number = 1
        return ChainReport(0, 0.0)

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(1, self.start.files)

    def check_replicas(self) -> None:
        self.trainer.check_replicas()

    def close(self) -> None:
        pass


# Targets computed ahead.


@dataclass(frozen=True)
class Doubling:
    """A target is its request's number, doubled. Notes its process in a journal; suffers mishaps by number."""

    workspace: Workspace
    journal: str
    mishaps: tuple[tuple[int, str], ...] = ()
    pause_s: float = 0.0

    @property
    def ingredients(self) -> object:
        return "doubling"

    def build(self) -> Any:
        return self._make

    def _make(self, request: int) -> Made:
        note(self.journal, f"{os.getpid()} {request}")
        suffer(dict(self.mishaps).get(request, ""))
        time.sleep(self.pause_s)
        return Made(
            {"doubled": np.full((2, 2), 2 * request, np.int64)}, MorphCost(unet_calls=3, unet_rows=5, ends_made=2)
        )


@dataclass(frozen=True, kw_only=True)
class Journaled(MorphWork):
    """The real work, whose process leaves its number in a file."""

    journal: str

    def build(self) -> MorphMaker:
        Path(self.journal).write_text(str(os.getpid()))
        return super().build()


def warn_as_torch_does() -> None:
    """What the tracker's derivatives make torch say."""
    warnings.warn("`torch.jit.script` is deprecated. Please switch to …", FutureWarning, stacklevel=1)


def whatever(recipe: Any, person: Any) -> Any:
    """A build that does what the person's name says."""
    from perse_ray.build.many import Outcome

    suffer(person.name)
    if person.name == "input":
        raise WorkspaceError("this one's own trouble")
    return Outcome(person, metrics={"psnr": float(os.getpid())})
