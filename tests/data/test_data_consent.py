"""A consent is complete or refused, is asked for, and travels with the avatar."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from perse.data.consent import KEPT, Consent, load_consent, read_consent, save_consent
from perse.data.images import encode_image, read_portrait_bytes
from perse.data.workspace import Workspace
from perse.errors import InputError, RecipeError
from perse.recipes import recipe_named
from perse_ray.build.build import settle_consent
from perse_ray.build.inspection import check
from perse_ray.build.products import Depth
from perse_ray.build.request import BuildRequest
from perse_ray.serving.schema.consent import read_consent_info

GIVEN = Consent("Ada Lovelace", "our film", "2026-11-01", "2099-11-01")


def test_a_consent_is_read_and_kept_beside_portrait_and_avatar(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(json.dumps(vars(GIVEN)))
    workspace = Workspace.open(tmp_path / "w")
    assert load_consent(workspace) is None and read_consent_info(workspace.path / "avatar") is None
    save_consent(workspace, read_consent(tmp_path / "c.json"))
    assert load_consent(workspace) == GIVEN
    shown = read_consent_info(workspace.path / "avatar")
    assert shown is not None and (shown.who, shown.expires) == ("Ada Lovelace", "2099-11-01")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b'{"who": "A"}', b'{"who": "", "purpose": "x", "date": "2026-11-01"}', b"\xff",
     b'{"who": "A", "purpose": "x", "date": "soon"}', b"[" * 100_000,
     rb'{"who": "\ud800", "purpose": "x", "date": "2026-11-01"}',
     b'{"who": "A", "purpose": "x", "date": "2026-11-01", "x": 1}',
     b'{"who": "A", "purpose": "x", "date": "2026-11-01", "expires": "2025-01-01"}'],
)  # fmt: skip
def test_half_a_consent_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_consent(tmp_path / "c.json")
    assert "\n" not in str(caught.value)


def test_it_holds_until_its_last_day() -> None:
    last = replace(GIVEN, expires="2026-12-01")
    assert not last.has_expired(date(2026, 12, 1)) and last.has_expired(date(2026, 12, 2))
    assert not replace(GIVEN, expires="").has_expired(date(2999, 1, 1))


def test_paper_asks_for_one_and_tiny_does_not(tmp_path: Path) -> None:
    photograph = np.zeros((8, 8, 3), np.uint8)
    workspace = Workspace.open(tmp_path / "w")
    asks = BuildRequest(recipe=recipe_named("paper"), photograph=photograph, workspace=workspace)
    settle_consent(replace(asks, recipe=recipe_named("tiny")))
    with pytest.raises(RecipeError, match=r"--consent consent\.json"):
        settle_consent(asks)
    with pytest.raises(InputError, match="expired on 2026-01-02"):
        settle_consent(replace(asks, consent=Consent("A", "x", "2026-01-01", "2026-01-02")))
    settle_consent(replace(asks, consent=GIVEN))
    settle_consent(asks)  # from now on it is known
    assert load_consent(workspace) == GIVEN


def test_a_damaged_copy_is_made_good_from_the_other_and_both_are_named(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path / "w")
    save_consent(workspace, GIVEN)
    workspace.write(KEPT[0], b'{"who"')
    assert load_consent(workspace) == GIVEN
    assert [one.name for one in check(workspace, Depth.CHANGED)] == [KEPT[0]]
    workspace.write(KEPT[1], b"")
    with pytest.raises(InputError, match="give the consent again"):
        load_consent(workspace)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_where_and_with_what_a_photograph_was_taken_ends_at_the_door(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010F] = "SecretCamera"
    exif.get_ifd(0x8825)[1] = "N"
    exif.get_ifd(0x8825)[2] = (52.0, 31.0, 12.0)
    buffer = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(buffer, kind, exif=exif)
    assert b"SecretCamera" in buffer.getvalue()
    for again in ("png", "jpeg", "webp"):
        stored = encode_image(read_portrait_bytes(buffer.getvalue()), again)  # type: ignore[arg-type]
        assert b"SecretCamera" not in stored and not Image.open(io.BytesIO(stored)).getexif()
