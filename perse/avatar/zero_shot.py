"""A code for an attribute that the avatar was not trained on, from words, a picture, or both (Eq. 5).

MLP_z wants f_I *and* f_T. Where one is missing it is guessed from the subjects of the category that the other one
resembles. And MLP_z is trained on the subjects alone: with a handful a category it is a table of them, and a feature
vector anywhere else comes out as a monster (a beanie with a ghost of a brim, lips of another face [M]). So with few
subjects a description chooses one of them, the nearest: a mixture of their features is a monster too where the words
fit several ("a hat" was half a top hat and half a wide brim [M]). Who wants a mixture names its parts. A colour that no
subject has cannot be asked for.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from perse.attributes import Category
from perse.avatar.avatar import Avatar
from perse.avatar.latents import SubjectFeatures
from perse.errors import InputError

SHARPNESS = 16.0
"""Of the softmax over cosines between deviations from the category's mean. Unlike subjects have cosines about or below
zero, so a learned prompt has all of the weight."""

ENOUGH_SUBJECTS = 32
"""From so many subjects of a category on, MLP_z is trusted with features that it has not seen, mixtures among them."""


@torch.no_grad()
def zero_shot_code(
    avatar: Avatar, category: Category, *, image: Float[Tensor, " w"] | None, text: Float[Tensor, " w"] | None
) -> Float[Tensor, " d"]:
    """z_k [d] of a category.

    Args:
        image, text: [w], f_I and f_T from the encoder that the avatar was trained with; None for what is not given.

    Raises:
        InputError: the avatar has learned nothing of this category, so that its row of z means nothing.
        ValueError: neither is given.
    """
    own = _learned(avatar, category)
    shares = subject_shares(avatar, category, image=image, text=text)
    trusted = len(own) >= ENOUGH_SUBJECTS
    if not trusted:
        shares = torch.nn.functional.one_hot(shares.argmax(), len(shares)).to(shares)
    f_image = image if trusted and image is not None else shares @ own.image
    f_text = text if trusted and text is not None else shares @ own.text
    return avatar.latents.encode(SubjectFeatures(f_image[None], f_text[None], own.categories[:1]))[0]


@torch.no_grad()
def subject_shares(
    avatar: Avatar, category: Category, *, image: Float[Tensor, " w"] | None, text: Float[Tensor, " w"] | None
) -> Float[Tensor, " s"]:
    """Resemblance [s] of a description to each of the category's subjects, in the order of the table; sums to one.

    Args:
        image, text: as of `zero_shot_code`.

    Raises:
        InputError, ValueError: as `zero_shot_code`.
    """
    own = _learned(avatar, category)
    given = [(features, alike) for features, alike in ((image, own.image), (text, own.text)) if features is not None]
    if not given:
        raise ValueError("give an image, a text, or both")
    likeness = torch.stack([_cosines(features.to(alike), alike) for features, alike in given]).mean(0)
    return torch.softmax(SHARPNESS * likeness, 0)


def _learned(avatar: Avatar, category: Category) -> SubjectFeatures:
    """What is known of a category's subjects."""
    subjects = avatar.features
    own = subjects[torch.nonzero(subjects.categories == category.index)[:, 0]]
    if not len(own):
        raise InputError(f"this avatar has learned no {category.value} at all; nothing can be made up for it")
    return own


def _cosines(given: Tensor, alike: Tensor) -> Tensor:
    """[s], of the deviations from the subjects' mean: what all edits of one portrait have in common says nothing."""
    mean = alike.mean(0)
    return torch.nn.functional.cosine_similarity(alike - mean, (given - mean)[None], dim=1)


def made_by(avatar: Avatar, texts: Float[Tensor, "s w"]) -> bool:
    """Whether an encoder is the one that the avatar was trained with.

    Args:
        texts: [s, w], what that encoder makes of the sentences of the subjects table, the reference included.
    """
    edited = avatar.features_categories >= 0
    ours, theirs = avatar.features_text[edited], texts.to(avatar.features_text)[edited]
    return ours.shape == theirs.shape and bool(torch.allclose(ours, theirs, atol=1e-3))
