"""Take an attribute from somebody else's photograph and add it to a finished avatar.

    perse transfer-attribute --workspace runs/me --image captain.jpg --part hat --name "navy cap"
    perse transfer-attribute --workspace runs/me --image group.jpg --face 2 --part hair
    perse render portrait --workspace runs/me --wear "hat=navy cap" --out me.png      it is an edit like any other

Parts are beard, clothes, earrings, eyebrows, hair, hat and headphones. What is found of them in the picture is shown by
`perse track --portrait PICTURE --overlay parts.png`, and can be corrected with --parts. The report shows the picture,
the person with the attribute, the avatar in new poses, and the way from one of its old attributes. A repeated build
keeps the attribute as long as nothing else changes; a build that trains again makes an avatar without it. The rights in
the picture are its owner's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from perse.errors import InputError
from perse_ray.commands.command_line import parsed, recipe_of, run_command


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """The picture, and what of it."""

    image: str
    """PNG, JPEG or WebP of the person who has the attribute; also s3://… or gs://…."""

    part: str
    """beard, clothes, earrings, eyebrows, hair, hat or headphones."""

    workspace: str = "runs/demo"
    """Workspace with a finished avatar; also s3://… or gs://…."""

    name: str | None = None
    """What the attribute is called; "hat of captain" of captain.jpg if left out."""

    face: int | None = None
    """Which of several faces in the picture, counted from 1 at the left."""

    parts: Path | None = None
    """Painted parts of the picture's crop, as `perse track --parts` writes them."""

    recipe: str = "laptop"
    """Recipe that the avatar was built with."""

    wait: bool = False
    """Wait while another run holds the workspace, instead of refusing."""


def main(arguments: Arguments) -> None:
    """Transfer, and say how well it went."""
    from perse.attributes import Category
    from perse.data.photograph import read_photograph
    from perse.data.workspace import Workspace
    from perse.data.workspace_lock import locked
    from perse.synthesis.procedural.transfer import TRANSFERABLE
    from perse.tracking.part_picture import open_parts
    from perse_ray.build.transfer import TransferRequest, transfer
    from perse_ray.runtime.progress import readable_s

    try:
        category = Category(arguments.part)
    except ValueError:
        raise InputError(
            f"an avatar has no category {arguments.part[:40]!r}; choose one of "
            f"{', '.join(one.value for one in TRANSFERABLE)}"
        ) from None
    name = _name(arguments)
    request = TransferRequest(
        workspace=_existing(Workspace, arguments.workspace),
        recipe=recipe_of(arguments.recipe, None),
        picture=read_photograph(arguments.image),
        category=category,
        name=name,
        face=arguments.face,
        parts=None if arguments.parts is None else open_parts(arguments.parts),
    )
    with locked(request.workspace, wait=arguments.wait):
        done = transfer(request)
    scores = done.scores
    print(
        f"\n{done.subject.text!r}, in {readable_s(sum(done.seconds.values()))}"
        f"\n  part          PSNR {scores.part_psnr:.2f} dB in unseen poses (whole pictures {scores.psnr:.2f})"
        f"\n  descriptor    {scores.part_distance:.3f} from the part in the picture, the avatar's other ones "
        f"{scores.other_distance:.3f}"
        f"\n  elsewhere     leakage {scores.leakage:.5f}"
        f"\n  old subjects  lose {scores.old_change_db:.4f} dB at most, no pixel changes by more than "
        f"{scores.old_difference:.5f}"
        f"\n  the way       {scores.way_sum:.2f} times the distance of its ends, unevenness {scores.way_deviation:.3f}"
        f"\n  model         {done.model}, in MLflow"
        f"\n  look at       {request.workspace.location}/{done.report[0]}"
        f'\n  wear it       perse render portrait --workspace {arguments.workspace} --wear "{category.value}={name}"'
    )


def _name(arguments: Arguments) -> str:
    name = arguments.name or f"{arguments.part} of {Path(arguments.image).stem}"
    if not 1 <= len(name) <= 80 or not name.isprintable() or set(name) & set("=+*"):
        raise InputError(f"a name has 1 to 80 printable characters without = + *, got {name[:90]!a}; give --name")
    return name


def _existing(kind, location: str):  # type: ignore[no-untyped-def]
    """The workspace, if there is an avatar in it: a mistyped path makes no new folder."""
    place = location if "://" in location else str(Path(location).expanduser().absolute())
    workspace = kind(place)
    if not workspace.has("avatar/avatar.json"):
        raise InputError(f"{location} holds no finished avatar; build one with `perse build` first")
    return workspace


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("transfer-attribute", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))
