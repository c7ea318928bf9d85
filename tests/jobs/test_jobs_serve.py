"""Who may ask the service that the command starts."""

from __future__ import annotations

from pathlib import Path

import pytest
import tyro

from perse.errors import InputError
from perse_ray.commands import serve
from perse_ray.serving.ray_serve.arguments import ServeArguments

TOKEN = "a-token-for-the-tests"


@pytest.fixture(autouse=True)
def no_tokens_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PERSE_TOKENS", raising=False)
    monkeypatch.delenv("PERSE_TOKENS_FILE", raising=False)


def parsed(*words: str) -> serve.Arguments:
    return tyro.cli(serve.Arguments, args=words)


def test_on_this_machine_a_token_is_made_up() -> None:
    tokens, made = serve.accepted_tokens(parsed())
    assert made is not None and tokens.owner(made)
    assert serve.accepted_tokens(parsed())[1] != made


def test_given_tokens_are_used_and_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokens").write_text(TOKEN)
    monkeypatch.setenv("PERSE_TOKENS", "another-token-for-tests")
    tokens, made = serve.accepted_tokens(parsed("--token-file", str(tmp_path / "tokens"), "--host", "0.0.0.0"))
    assert made is None and tokens.owner(TOKEN) and tokens.owner("another-token-for-tests")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_other_machines_are_never_let_in_without_tokens(host: str) -> None:
    with pytest.raises(InputError, match="give tokens"):
        serve.accepted_tokens(parsed("--host", host))
    with pytest.raises(InputError, match="for loopback hosts"):
        serve.accepted_tokens(parsed("--host", host, "--insecure-no-auth"))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_authentication_can_be_switched_off_on_this_machine(host: str) -> None:
    tokens, made = serve.accepted_tokens(parsed("--host", host, "--insecure-no-auth"))
    assert not tokens and made is None


def test_a_deploy_config_without_tokens_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ServeArguments(workspaces="runs/me")
    with pytest.raises(InputError, match="needs a token"):
        arguments.protection()
    monkeypatch.setenv("PERSE_TOKENS", TOKEN)
    protection = arguments.protection()
    assert protection.tokens is not None and protection.tokens.owner(TOKEN)
    assert ServeArguments(workspaces="runs/me", authentication="off").protection().tokens is None
