"""Private folders of whoever runs this, wherever there is room for one: caches, and what is temporary.

Without a home folder, or with one that cannot be written (containers, batch systems, services), caches lie in the
temporary folder; then they last as long as that does.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

KERNEL_CACHE = "NUMBA_CACHE_DIR"
"""numba's name for the folder of its compiled kernels."""


def cache_folder() -> Path:
    """``$PERSE_CACHE``, or ``~/.cache/perse``, or a private folder among the temporary ones."""
    if given := os.environ.get("PERSE_CACHE"):
        return Path(given)
    return at_home(".cache/perse") or private_folder("perse-cache")


def at_home(name: str) -> Path | None:
    """A folder in the home folder, if it is there or can be made."""
    try:
        path = nearest = Path.home() / name
    except RuntimeError:  # neither $HOME nor a line in the table of users
        return None
    try:
        while not nearest.exists():
            nearest = nearest.parent
        return path if nearest.is_dir() and (nearest == path or os.access(nearest, os.W_OK | os.X_OK)) else None
    except OSError:  # not even to be looked at
        return None


def private_folder(name: str, places: Iterable[str] = (), longest: int = 4096) -> Path:
    """A folder that nobody else can read, made if it is not there: ``<place>/<name>-<user>``.

    Args:
        name: what it is for.
        places: where it may be, the best first; by default among the temporary files.
        longest: characters that its path may have.

    Raises:
        OSError: none of the places can have it.
    """
    for place in places or (tempfile.gettempdir(),):
        path = Path(place).absolute() / f"{name}-{os.getuid()}"
        if len(os.fsencode(path)) <= longest and _is_ours(path):
            return path
    raise OSError(f"no place for a private folder {name}")


def _is_ours(path: Path) -> bool:
    """Whether it is there now, a folder of ours; somebody else's under that name is nothing to write into."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        about = path.lstat()
        if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid():
            return False
        if about.st_mode & 0o077:
            path.chmod(0o700)
        return os.access(path, os.W_OK | os.X_OK)
    except (OSError, ValueError):
        return False


def _writable(path: Path | None) -> bool:
    return path is not None and (not path.exists() or os.access(path, os.W_OK | os.X_OK))


def keep_kernels_somewhere(package: Path) -> None:
    """Tell numba where to keep compiled kernels if neither beside the package nor at home is a place for them.

    numba refuses to compile a cached kernel at all where it finds no such place.
    """
    if os.environ.get(KERNEL_CACHE) or os.access(package, os.W_OK) or _writable(at_home(".cache")):
        return
    try:
        folder = str(private_folder("perse-kernels"))
    except OSError:  # numba will say it
        return
    os.environ[KERNEL_CACHE] = folder
    if "numba" in sys.modules:
        sys.modules["numba"].config.CACHE_DIR = folder
