"""The registered avatar as an MLflow model "from code": this file is its whole wrapper, and nothing is pickled."""

from __future__ import annotations

import json
from typing import Any

import mlflow
from mlflow.pyfunc import PythonModel, PythonModelContext


class AvatarModel(PythonModel):
    """Renders an avatar. Input: render requests as JSON strings (the body of the HTTP service). Output: PNG, base64."""

    def load_context(self, context: PythonModelContext) -> None:
        from pathlib import Path

        from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar

        self.avatar = LoadedAvatar.load(Path(context.artifacts["avatar"]))

    def predict(  # type: ignore[override]
        self, model_input: list[str], params: dict[str, Any] | None = None
    ) -> list[str]:
        """One picture a request."""
        import base64

        from perse_ray.serving.drawing.tasks import Frames
        from perse_ray.serving.schema.requests import RenderRequest

        requests = tuple(RenderRequest.model_validate(json.loads(text)) for text in model_input)
        return [base64.b64encode(picture).decode() for picture in Frames(requests)(self.avatar)]


mlflow.models.set_model(AvatarModel())
