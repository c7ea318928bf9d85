"""PERSE (CVPR 2025, arXiv 2412.21206): a personalised 3D Gaussian head avatar from one portrait.

::

    import perse

    avatar = perse.load("runs/me")                        # a workspace, an avatar's folder, or models:/name@alias
    avatar.attributes["hat"]                              # names with their prompts
    look = avatar.look(hat="navy top hat", beard={"long white": 0.6})
    avatar.render(look, yaw=20, expression={"smile": 0.8})

The package is the method and nothing else: it knows no Ray, no MLflow and no HTTP. Read it along the paper's
Figure 2::

    portrait ─► tracking ─► synthesis (prompts ─► editing ─► screen ─► animator) ─► clips
    clips ─► avatar + losses ─► training ─► morphing ─► training ─► evaluation ─► export | report
    avatar ─► viewing ─► library (what is imported here)
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from perse.private_folders import keep_kernels_somewhere

if TYPE_CHECKING:
    from perse.library import Frames, HeadAvatar, Look, Picture, build, described, load

__version__ = "0.1.0"
__all__ = ["Frames", "HeadAvatar", "Look", "Picture", "__version__", "build", "described", "load"]

keep_kernels_somewhere(Path(__file__).parent)


def __getattr__(name: str) -> Any:
    """Names of the library, imported when they are asked for: `import perse` takes no time (PEP 562)."""
    if name in __all__:
        from importlib import import_module

        return getattr(import_module("perse.library"), name)
    raise AttributeError(f"module 'perse' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
