"""MLflow model "from code" of a registered avatar: this file is its whole wrapper, and nothing is pickled.

::

    model = mlflow.pyfunc.load_model(FOLDER)                        # or models:/NAME@champion
    model.predict(pandas.DataFrame({"request": [{"width": 256, "attributes": {"hat": {"teal beanie": 1}}}]}))
    model.predict({"request": ['{"width": 256}', '{"width": 64}']})

A request is the body of the HTTP service's render route, as an object or as JSON text; an answer is a picture in
base64. The project's own code travels with the model, so it is not installed where the model is loaded.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import mlflow
from mlflow.pyfunc import PythonModel, PythonModelContext

COLUMN = "request"


class AvatarModel(PythonModel):
    """Model that renders an avatar. Input: a column of render requests. Output: pictures, base64."""

    def load_context(self, context: PythonModelContext) -> None:
        from pathlib import Path

        from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar

        self.avatar = LoadedAvatar.load(Path(context.artifacts["avatar"]))

    def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]
        # Without annotations: MLflow takes those of `model_input` for the signature, which is given where it is logged.
        """Pictures, one a request."""
        import base64

        from perse_ray.serving.drawing.tasks import EncodedPictures
        from perse_ray.serving.schema.requests import RenderRequest

        asked = tuple(RenderRequest.model_validate(_parsed(one)) for one in _requests(model_input))
        return [base64.b64encode(picture).decode() for picture in EncodedPictures(asked)(self.avatar)]


def _requests(model_input: Any) -> list[Any]:
    """The column of a table, of a mapping, or of rows. Of a mapping's list of texts MLflow makes a single cell."""
    if isinstance(model_input, Mapping) or hasattr(model_input, "columns"):
        column = model_input[COLUMN]
        cells = [column] if isinstance(column, str | Mapping) else list(column)
    else:
        cells = [row[COLUMN] if isinstance(row, Mapping) and COLUMN in row else row for row in model_input]
    return [one for cell in cells for one in ([cell] if isinstance(cell, str | Mapping) else cell)]


def _parsed(request: Any) -> Any:
    return json.loads(request) if isinstance(request, str) else request


mlflow.models.set_model(AvatarModel())
