"""Tokens: made, read, recognised, never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from perse.errors import InputError
from perse_ray.serving.protection import Protection, Tokens, environment_tokens, new_token, read_tokens

FIRST, SECOND = "a-first-token-of-mine", "the-second-token-of-mine"


def test_a_token_is_recognised_and_its_neighbours_are_not() -> None:
    tokens = Tokens.of([FIRST, SECOND])
    assert tokens.owner(FIRST) and tokens.owner(FIRST) != tokens.owner(SECOND)
    for stranger in ("", FIRST[:-1], FIRST + "x", FIRST.upper(), "\udcff", next(iter(tokens.digests))):
        assert tokens.owner(stranger) is None


def test_memory_holds_no_token() -> None:
    tokens = Tokens.of([FIRST])
    assert FIRST not in repr(tokens) and FIRST not in str(tokens.owner(FIRST))


def test_new_tokens_are_accepted_and_never_the_same() -> None:
    made = {new_token() for _ in range(50)}
    assert len(made) == 50 and all(Tokens.of(made).owner(token) for token in made)


@pytest.mark.parametrize(
    "token", ["", "short", "with a space in it", "naïve-and-long-enough", "x" * 513, "tab\tin-the-middle"]
)
def test_what_can_be_guessed_or_not_sent_is_no_token(token: str) -> None:
    with pytest.raises(InputError) as caught:
        Tokens.of([token])
    assert not token or token not in str(caught.value)


def test_a_file_holds_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# the app\n{FIRST}\n\n  {SECOND}  \n")
    assert read_tokens(file) == Tokens.of([FIRST, SECOND])
    file.write_text("# nobody\n")
    with pytest.raises(InputError, match="holds none"):
        read_tokens(file)
    with pytest.raises(InputError, match="cannot be read"):
        read_tokens(tmp_path / "nowhere")


def test_the_environment_may_hold_tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERSE_TOKENS", raising=False)
    monkeypatch.delenv("PERSE_TOKENS_FILE", raising=False)
    assert not environment_tokens()
    (tmp_path / "tokens").write_text(SECOND)
    monkeypatch.setenv("PERSE_TOKENS", f"{FIRST}, {FIRST}")
    monkeypatch.setenv("PERSE_TOKENS_FILE", str(tmp_path / "tokens"))
    assert environment_tokens() == Tokens.of([FIRST, SECOND])


def test_an_empty_set_of_tokens_is_no_protection() -> None:
    with pytest.raises(InputError, match="needs a token"):
        Protection(tokens=Tokens(frozenset()))
