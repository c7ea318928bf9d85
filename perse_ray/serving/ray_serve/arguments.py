"""Arguments of the application on Ray Serve."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from perse_ray.serving.protection import Protection, Tokens, environment_tokens
from perse_ray.serving.protection.admission import environment_lanes


class Entrance(BaseModel):
    """Limits of an application on Ray Serve: who may ask, and how much."""

    model_config = ConfigDict(extra="forbid")

    token_digests: list[str] = Field(default_factory=list)
    """SHA-256 of tokens that are accepted, besides those in the ingress's own environment (``PERSE_TOKENS``,
    ``PERSE_TOKENS_FILE``): tokens themselves never enter a deploy config."""
    authentication: Literal["tokens", "off"] = "tokens"
    """``off`` answers programs on the ingress's own machine, and nobody else."""
    per_second: float = Field(default=100.0, gt=0)
    """Requests that one token may make of one ingress in the long run."""
    burst: int = Field(default=200, ge=1)
    """Requests that one token may make of one ingress at once."""

    def protection(self) -> Protection:
        """Middlewares before an ingress, to be asked for where its environment is.

        Raises:
            InputError: there is no token.
        """
        known = Tokens(frozenset(self.token_digests)) | environment_tokens()
        return Protection(
            tokens=known if self.authentication == "tokens" else None,
            per_second=self.per_second,
            burst=self.burst,
            lanes=environment_lanes(),
        )


class ServeArguments(Entrance):
    """Arguments of the application, as a Serve config or `serve run` gives them."""

    workspaces: str
    """Comma-separated workspaces whose avatars are served, and models by alias (``models:/NAME@champion``)."""
    replicas: int | None = Field(default=None, ge=1)
    """Renderers; None leaves it to the deploy config, with its ``num_replicas`` or ``autoscaling_config``."""
    num_cpus: float = Field(default=1.0, gt=0)
    """Of one renderer; it draws with so many threads."""
    num_gpus: float = Field(default=0.0, ge=0)
    memory_mib: float = Field(default=2048.0, gt=0)
    """Of one renderer, for avatars: 15,000 Gaussians take about 100 MiB with their cache."""
    refresh_s: float = Field(default=10.0, gt=0)
    """How often a renderer looks for new versions of what it has in memory."""

    clip: str = ""
    """CLIP's weights, for descriptions of attributes of avatars that were trained with it."""

    @property
    def places(self) -> list[str]:
        return [place.strip() for place in self.workspaces.split(",") if place.strip()]
