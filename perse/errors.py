"""Every error this project raises on purpose.

::

    PerseError                    something a user can act on; one line: what was expected, what came, what to do
    ├── InputError                a file, picture, prompt or request from outside cannot be used
    │   ├── PortraitError         the photograph: not an image, too large, no face, several faces, too small, too dark
    │   ├── PromptError           a prompt or prompt file that cannot be understood
    │   ├── HeadModelError        a head-model file that cannot be read safely
    │   └── UnknownName           a name that the avatar has nothing for, or that several things answer to
    ├── RecipeError               an unknown recipe, or one whose parts contradict each other
    ├── MissingWeightsError       a backend needs files that are not there
    ├── GenerationError           a model's picture cannot be used: black, filtered, without the part, out of memory
    ├── WorkspaceError            the workspace cannot be written, or holds something else
    │   └── DamagedFile           one of its files is not what was written; the next run makes it again
    └── StageError                a stage could not finish; what was done is kept
        └── TrainingDiverged      steps in a row whose gradients are not finite

Jobs print the message of a ``PerseError`` in one line and exit with code 2. Anything else is our own mistake and
keeps its traceback. ``ValueError`` is for a caller's wrong argument, ``assert`` for our own invariants.
"""

from __future__ import annotations


class PerseError(Exception):
    """Base of all expected errors."""


class InputError(PerseError):
    """Something from outside cannot be used."""


class PortraitError(InputError):
    """The photograph cannot be used."""


class PromptError(InputError):
    """A prompt cannot be understood."""


class HeadModelError(InputError):
    """A head-model file cannot be read safely."""


class UnknownName(InputError):
    """The avatar has nothing of this name, or several things."""


class RecipeError(PerseError):
    """The recipe does not exist or cannot be run here."""


class MissingWeightsError(PerseError):
    """A backend needs weights that are not there."""


class GenerationError(PerseError):
    """A generative model returned something that cannot be used."""


class WorkspaceError(PerseError):
    """The workspace cannot be used."""


class DamagedFile(WorkspaceError):
    """A file of the workspace is not what was written."""


class StageError(PerseError):
    """A stage of the pipeline could not finish."""


class TrainingDiverged(StageError):
    """Training whose gradients were not finite in several steps in a row."""
