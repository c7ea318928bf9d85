"""Avatar of a person for notebooks, to look at and to edit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from perse.attributes import CATEGORIES, Category
from perse.avatar import Avatar
from perse.errors import InputError, UnknownName
from perse.library.naming import Wanted, expressions_of, found_anywhere, subject_names, terms_of
from perse.library.pictures import Frames, Picture
from perse.viewing import AvatarRenderer, Described, Edits, Encoders, Look, Named, Orbit, PictureRequest, between
from perse.viewing.looks import Rotation
from perse.viewing.sentences import category_of

MAX_SIZE_PX = 4096


class HeadAvatar:
    """An avatar in memory. `perse.load` makes one.

    Looks are plain values: they may be kept, compared and changed. Everything that draws takes one, and the person as
    photographed is the empty look.
    """

    def __init__(self, avatar: Avatar, *, clip: Path | None = None) -> None:
        """
        Args:
            avatar: the latent space, decoder and skeleton.
            clip: CLIP's weights, for descriptions where the avatar was trained with CLIP.
        """
        self.renderer = AvatarRenderer(avatar, Encoders(clip))
        self.network = self.renderer.avatar

    def __repr__(self) -> str:
        counts = ", ".join(f"{len(row)} {category}" for category, row in self.attributes.items())
        return f"HeadAvatar({self.network.card.key[:12]}: {counts}; {self.network.n_gaussians} Gaussians)"

    @cached_property
    def attributes(self) -> Mapping[str, Mapping[str, str]]:
        """Edits that the avatar has learned, by category: short names, and the prompts that they come from."""
        return subject_names(self.network)

    @property
    def expressions(self) -> tuple[str, ...]:
        """Names of the expression coefficients."""
        return self.network.card.expression_names

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the joints."""
        return self.network.card.joint_names

    def look(
        self,
        *,
        text: str | None = None,
        expression: Mapping[str, float] | None = None,
        pose: Mapping[str, Rotation] | None = None,
        **attributes: Wanted,
    ) -> Look:
        """Look: edits, an expression and a pose.

        ::

            avatar.look(hat="navy top hat")                                  one edit
            avatar.look(hat={"teal beanie": 0.3, "navy top hat": 0.7})       a mixture
            avatar.look(hair=described("long red curls"))                    an attribute that no edit has
            avatar.look(text="a red cap")                                    the same; the sentence says which category

        Args:
            text: a description of one attribute.
            expression: strengths by name; ``smile`` means mouthSmileLeft and mouthSmileRight.
            pose: joint rotations by name, axis-angle in degrees.
            attributes: by category.

        Raises:
            UnknownName: a category, edit, expression or joint is not there, or a description cannot be understood.
        """
        edits: dict[Category, tuple[Named | Described, ...]] = {}
        for name, wanted in attributes.items():
            edits[_category(name)] = terms_of(self.network, _category(name), wanted)
        if text is not None:
            category = category_of(text)
            edits[category] = (*edits.get(category, ()), Described(text))
        look = _posed(Look(edits), self.expressions, expression, pose)
        self.renderer.resolve(look)  # a mistake is told here, not where the look is drawn
        return look

    def render(
        self,
        look: Look | None = None,
        *,
        yaw: float = 0.0,
        pitch: float = 0.0,
        zoom: float = 1.0,
        expression: Mapping[str, float] | None = None,
        pose: Mapping[str, Rotation] | None = None,
        size: int = 512,
        background: tuple[int, int, int] | None = None,
    ) -> Picture:
        """A picture, [size, size, 4] uint8 (not premultiplied), or [size, size, 3] on a background.

        Args:
            look: the person as photographed if left out.
            yaw, pitch: where the camera stands, degrees to the person's left and upwards.
            zoom: magnification.
            expression, pose: on top of the look's, as in `look`.
            size: pixels a side.
            background: RGB, 0 to 255; transparent if left out.

        Raises:
            UnknownName: as `look`.
            InputError: the size cannot be drawn.
        """
        whole = _posed(look or Look(), self.expressions, expression, pose)
        return self._picture(_request(whole, Orbit(yaw, pitch, zoom), size, background))

    def interpolate(
        self,
        start: Look | str | None,
        end: Look | str | None,
        *,
        steps: int = 9,
        size: int = 512,
        yaw: float = 0.0,
        background: tuple[int, int, int] | None = None,
        fps: float = 25.0,
    ) -> Frames:
        """Pictures from one look to another in equal steps (Eq. 13), both ends included; each is drawn when asked for.

        Args:
            start, end: looks, or words of one edit; None is the person as photographed.

        Raises:
            UnknownName: as `look`.
            InputError: fewer than two steps, or a size that cannot be drawn.
        """
        if steps < 2:
            raise InputError(f"an interpolation has two ends and so two steps at least, got {steps}")
        first, last = self._end(start), self._end(end)
        camera = Orbit(yaw)
        alphas = np.linspace(0, 1, steps).tolist()
        requests = [_request(between(first, last, alpha), camera, size, background) for alpha in alphas]
        return Frames(steps, lambda number: self._picture(requests[number]), fps)

    def animate(
        self,
        motion: str | Path = "builtin",
        look: Look | None = None,
        *,
        stride: int = 1,
        size: int = 512,
        yaw: float = 0.0,
        background: tuple[int, int, int] | None = None,
    ) -> Frames:
        """Pictures of a motion, performed; each is drawn when asked for.

        Args:
            motion: a motion file (`perse track` makes them from videos), or the test part of the built-in motion.
            stride: every n-th frame; the rate falls with it.

        Raises:
            InputError: the file is no motion, or moves what this avatar does not have.
        """
        from perse.export.poses import BUILT_IN, named_motion

        named = named_motion(self.network, str(motion))
        card = self.network.card
        named = named.only(card.expression_names, card.joint_names) if motion == BUILT_IN else named
        named.parameters(card.expression_names, card.joint_names)  # a mistake is told now
        worn = look or Look()

        def draw(number: int) -> Picture:
            row = number * stride
            expression = {name: float(values[row]) for name, values in named.expressions.items()}
            pose = {name: _rotation(values[row].tolist()) for name, values in named.joints.items()}
            shown = replace(worn, expression={**worn.expression, **expression}, pose={**worn.pose, **pose})
            return self._picture(_request(shown, Orbit(yaw), size, background))

        return Frames(len(range(0, len(named), stride)), draw, named.fps / stride)

    def export(self, look: Look | None, path: str | Path) -> list[Path]:
        """Write the avatar with a look for other programs; returns all files that were written.

        What no view from around the front shows is left out (all around, if the avatar is closed from behind).

        Args:
            path: its ending is the format: .ply, .compressed.ply, .splat, .spz, .sog, .glb, .usdc or .html.

        Raises:
            UnknownName: as `look`.
            InputError: no format has this ending.
            MissingWeightsError: the package that writes this format is not installed.
        """
        from perse.export import export_file, format_of

        path = Path(path)
        kind = format_of(path)
        resolved = self.renderer.resolve(look or Look())
        return export_file(self.renderer.exported(resolved), path, kind, self.renderer.provenance([resolved]))

    def _end(self, asked: Look | str | None) -> Look:
        if not isinstance(asked, str):
            return asked or Look()
        subject = found_anywhere(self.network, asked)
        assert subject.category is not None
        edits: Edits = {subject.category: (Named(subject.key),)}
        return Look(edits)

    def _picture(self, request: PictureRequest) -> Picture:
        resolved = self.renderer.resolve(request.look)
        pixels = self.renderer.draw([request], [resolved])[0]
        return Picture.of(pixels, self.renderer.provenance([resolved], dated=False))


def _category(name: str) -> Category:
    try:
        return Category(name)
    except ValueError:
        raise UnknownName(f"{name!r} is no category; there are {', '.join(c.value for c in CATEGORIES)}") from None


def _posed(
    look: Look, known: tuple[str, ...], expression: Mapping[str, float] | None, pose: Mapping[str, Rotation] | None
) -> Look:
    """The look with more expression and pose (degrees)."""
    strengths = expressions_of(known, expression or {})
    turns = {name: _rotation(np.radians(turn).tolist()) for name, turn in (pose or {}).items()}
    return replace(look, expression={**look.expression, **strengths}, pose={**look.pose, **turns})


def _rotation(turn: list[float]) -> Rotation:
    if len(turn) != 3 or not np.isfinite(turn).all():
        raise InputError(f"a rotation is three finite numbers, axis-angle, got {turn}")
    x, y, z = turn
    return x, y, z


def _request(look: Look, camera: Orbit, size: int, background: tuple[int, int, int] | None) -> PictureRequest:
    if not 16 <= size <= MAX_SIZE_PX:
        raise InputError(f"size must be between 16 and {MAX_SIZE_PX} pixels, got {size}")
    return PictureRequest(look, camera, size, size, background)
