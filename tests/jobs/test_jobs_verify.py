"""What `perse verify` tells people, and how it exits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perse.data.images import encode_image
from perse.errors import InputError
from perse.export import Provenance, Verification, local_identity, make_identity, sign_media
from perse_ray.commands import verify

PLAIN = encode_image(np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8), "png")
RECORD = Provenance("somebody")


@pytest.fixture(autouse=True)
def _own_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSE_SIGNING", str(tmp_path / "keys" / "signing"))


def told(path: Path, data: bytes, capsys: pytest.CaptureFixture[str]) -> tuple[bool, str]:
    path.write_bytes(data)
    return verify.main(verify.Arguments(files=(path,))), capsys.readouterr().out


def test_the_four_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = sign_media(PLAIN, RECORD, local_identity())
    altered = bytearray(ours)
    altered[-100] ^= 1
    fine, text = told(tmp_path / "ours.png", ours, capsys)
    assert fine and "signed by this installation and unaltered" in text and "somebody" in text
    fine, text = told(tmp_path / "theirs.png", sign_media(PLAIN, RECORD, make_identity()), capsys)
    assert fine and "nobody here vouches for" in text
    fine, text = told(tmp_path / "altered.png", bytes(altered), capsys)
    assert not fine and "NOT INTACT" in text and "mismatch" in text
    fine, text = told(tmp_path / "plain.png", PLAIN, capsys)
    assert not fine and "no provenance" in text


def test_exit_codes(tmp_path: Path) -> None:
    (tmp_path / "plain.png").write_bytes(PLAIN)
    (tmp_path / "signed.png").write_bytes(sign_media(PLAIN, RECORD, local_identity()))
    codes = [
        verify.exit_code(verify.Arguments(files=tuple(tmp_path / name for name in names)))
        for names in (["signed.png"], ["signed.png", "plain.png"], ["nothing.png"])
    ]
    assert codes == [0, 1, 2]


@pytest.mark.parametrize(
    "weight, text",
    [("9" * 400, "red"), ("1.0", r"\ud800"), ("[" * 500 + "]" * 500, "red")],
    ids=["huge", "half", "deep"],
)
def test_a_record_that_cannot_be_told_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], weight: str, text: str
) -> None:
    """A number beyond floats and half a pair of surrogates ended in a traceback."""
    record = RECORD.to_json().replace(
        '"edits": []', '"edits": [{"category":"hat","subject":"a","text":"%s","weight":%s}]'
    )
    assert "%s" in record
    page = f'<!doctype html><script type="application/json" id="provenance">{record % (text, weight)}</script>'
    (tmp_path / "a.html").write_text(page)
    assert verify.exit_code(verify.Arguments(files=(tmp_path / "a.html",))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "provenance record" in line


def test_a_strangers_words_do_not_steer_the_terminal() -> None:
    found = Verification(Provenance("some\x1b[2Jbody\nfine"), intact=True)
    assert all(line.isprintable() for line in verify.sentences(Path("a.ply"), found))


def test_a_file_of_no_known_kind(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(InputError, match=r"a\.txt"):
        verify.main(verify.Arguments(files=(tmp_path / "a.txt",)))
