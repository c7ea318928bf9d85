"""Build the avatars of a folder of portraits.

    perse build-many --portraits faces/ --workspaces runs/faces
    perse build-many --portraits faces/ --workspaces runs/faces --max-parallel 4
    perse build-many --portraits faces/ --workspaces s3://b/faces --recipe paper      on a cluster

Each portrait (PNG, JPEG or WebP) has a workspace of its name. The consent of a person, which recipe paper asks for,
lies beside their portrait under the same name: ada.jpg, ada.json. Repeat the same command after any interruption: what
is finished is kept. A person whose build fails leaves the others alone; exit code 1 says that there is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from perse_ray.commands.command_line import parsed, recipe_of, run_command

if TYPE_CHECKING:
    from perse_ray.build.many import Person

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
EXIT_FAILED = 1


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments: whom to build, and where."""

    portraits: Path
    """Folder with a photograph of each person."""

    workspaces: str = "runs/many"
    """Folder for a workspace of each; also s3://… or gs://…."""

    recipe: str = "laptop"
    """tiny, laptop, paper, or one's own as module:function."""

    max_parallel: int = 2
    """Builds at the same time."""

    seed: int | None = None
    """Seed of prompts and training; the recipe's if left out."""

    commercial_safe: bool = False
    """Refuse a recipe whose weights forbid commercial use, before anything runs."""


def main(arguments: Arguments) -> int:
    """Build all of them and say what became of each; returns the exit code."""
    from perse.data.workspace import Workspace
    from perse.errors import InputError
    from perse.synthesis.production.model_store import require
    from perse_ray.build.many import COMMON, ManyRequest, build_many
    from perse_ray.build.many_summary import summary_json, summary_lines, summary_page
    from perse_ray.runtime.shared_storage import check_location

    if arguments.max_parallel < 1:
        raise InputError(f"--max-parallel must be at least 1, got {arguments.max_parallel}")
    recipe = recipe_of(arguments.recipe, arguments.seed)
    check_location(arguments.workspaces)
    require(recipe, commercial_safe=arguments.commercial_safe)
    home = arguments.workspaces if "://" in arguments.workspaces else str(Path(arguments.workspaces).absolute())
    people = people_in(arguments.portraits, home)
    common = Workspace.open(f"{home.rstrip('/')}/{COMMON}")
    outcomes = build_many(
        ManyRequest(
            recipe=recipe, people=people, home=home, max_parallel=arguments.max_parallel,
            tell=lambda line: print(line, flush=True),
        )
    )  # fmt: skip
    common.write("report/summary.html", summary_page(outcomes, recipe.name))
    common.write("report/summary.json", summary_json(outcomes))
    print("\n" + "\n".join(summary_lines(outcomes)) + f"\nwith pictures: {common.location}/report/summary.html")
    return EXIT_FAILED if any(one.error for one in outcomes) else 0


def people_in(portraits: Path, home: str) -> tuple[Person, ...]:
    """A person for each photograph of a folder, by name.

    Raises:
        InputError: there is no folder, or no photograph in it.
    """
    from perse.errors import InputError
    from perse_ray.build.many import COMMON, Person

    if not portraits.is_dir():
        raise InputError(f"--portraits {portraits} is no folder")
    files = sorted(path for path in portraits.iterdir() if path.suffix.lower() in PICTURES)
    if not files:
        raise InputError(f"there is no photograph in {portraits} (expected {', '.join(PICTURES)})")
    stems = Counter(path.stem for path in files)
    names = [path.name if stems[path.stem] > 1 or path.stem == COMMON else path.stem for path in files]
    where = home.rstrip("/")
    return tuple(
        Person(name, str(path.absolute()), f"{where}/{name}", _consent_beside(path))
        for name, path in zip(names, files, strict=True)
    )


def _consent_beside(portrait: Path) -> str:
    path = portrait.with_suffix(".json")
    return str(path.absolute()) if path.exists() else ""


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("build-many", Arguments, __doc__, words)
    codes: list[int] = []
    return run_command(lambda: codes.append(main(arguments))) or codes[0]
