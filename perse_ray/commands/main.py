"""Command ``perse``: one word for each thing that it does. Nothing is imported until its word is there."""

from __future__ import annotations

import importlib
import os
import select
import sys
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One word of the command line.

    Attributes:
        module: in this package, with a function ``run(words)`` that returns an exit code.
        summary: for the list.
        extra: what has to be installed beyond the base, if anything.
    """

    module: str
    summary: str
    extra: str = ""


COMMANDS = {
    "studio": Command("studio", "from a photograph to an avatar, in a browser", "serve"),
    "build": Command("build_avatar", "build the avatar of one portrait, or continue an interrupted build", "ray"),
    "build-many": Command("build_many", "build the avatars of a folder of portraits", "ray"),
    "build-body": Command("build_body", "build the whole-body avatar of one standing person", "ray"),
    "view": Command("view", "look at an avatar in a browser, also while it is in training", "serve"),
    "render": Command("render", "pictures, turntables, interpolations, reenactments"),
    "export": Command("export", "ply, splat, glTF, USD, a page for the browser", "export"),
    "track": Command("track", "from a video of a face to a motion that any avatar can perform"),
    "transfer-attribute": Command("transfer_attribute", "take a hat, hair, a beard or clothes from another photograph"),
    "serve": Command("serve", "render over HTTP", "serve"),
    "verify": Command("verify", "say where a file comes from", "export"),
    "train-champ": Command("train_portrait_champ", "train the animator portrait-Champ on videos", "production"),
    "train-parser": Command("train_parser", "train the network that corrects the parts of a portrait", "ray"),
    "evaluate": Command("evaluate", "measure an avatar by the paper's protocols", "ray"),
    "ablate": Command("ablate", "train variants of a recipe on the same clips and compare them", "ray"),
    "evaluate-animators": Command("evaluate_animators", "compare animators by self-reenactment", "production"),
    "study": Command("study", "a user study of two sets of pictures: make the page, count the votes"),
    "workspace": Command("workspace", "check, repair or measure what a build left on disk", "ray"),
    "quarantine": Command("quarantine", "prompts that failed: list, show, retry", "ray"),
    "forget": Command("forget", "remove everything that was made of a portrait", "ray"),
    "models": Command("models", "weights of the production backends: list, check, fetch, convert", "production"),
    "doctor": Command("doctor_report", "is this machine ready?"),
}

EXIT_USAGE = 2
EXIT_UNREAD = 141
"""What a shell reports of a program that SIGPIPE ended."""


def main(words: Sequence[str] | None = None) -> int:
    """Run one command of ``perse``; returns its exit code."""
    try:
        code = _main(sys.argv[1:] if words is None else words)
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return EXIT_UNREAD


def _nobody_reads() -> bool:
    """Whether standard output was closed by who read it, as by ``perse build --help | head``; it is silenced then."""
    output = sys.stdout.fileno()
    if hasattr(select, "poll"):
        pipe = select.poll()
        pipe.register(output, 0)
        if not pipe.poll(0):
            return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), output)
    return True


def _main(words: Sequence[str]) -> int:
    name = words[0] if words else "--help"
    if name in ("-h", "--help"):
        print(overview())
        return 0
    if name == "--version":
        from perse import __version__

        print(f"perse {__version__}")
        return 0
    if name not in COMMANDS:
        sys.stderr.write(f"error: there is no command {name[:40]!r}; there are {', '.join(COMMANDS)}\n")
        return EXIT_USAGE
    return _run(COMMANDS[name], name, words[1:])


def overview() -> str:
    """The list of commands."""
    widest = max(map(len, COMMANDS))
    rows = [f"  {name:{widest}} {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "From one portrait to an animatable, editable 3D Gaussian head avatar.",
            "",
            "  perse studio --open",
            "  perse build --portrait me.jpg --workspace runs/me",
            "  perse view --workspace runs/me --open",
            "",
            *rows,
            "",
            "perse COMMAND --help says more.",
        ]
    )


def _run(command: Command, name: str, words: Sequence[str]) -> int:
    try:
        run = importlib.import_module(f"perse_ray.commands.{command.module}").run
        return int(run(list(words)))
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in ("", "perse", "perse_ray") or not command.extra:
            raise
        sys.stderr.write(
            f"error: perse {name} needs the package {missing}, which is not installed: "
            f"pip install 'perse[{command.extra}]'\n"
        )
        return EXIT_USAGE


if __name__ == "__main__":
    sys.exit(main())
