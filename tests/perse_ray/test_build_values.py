"""Numbers of a report as MLflow takes them."""

from __future__ import annotations

from perse_ray.build.values import all_numbers_of


def test_nested_numbers_get_dotted_names_that_mlflow_takes() -> None:
    values = {
        "fps": 3, "good": True, "name": "x", "captured": {"psnr": 34.0, "parts": {"skin": 0.5}},
        "edits": {"a suit, white shirt & tie": {"gain_db": 2.0}},
    }  # fmt: skip
    assert all_numbers_of(values) == {
        "fps": 3.0, "captured.psnr": 34.0, "captured.parts.skin": 0.5, "edits.a suit_ white shirt _ tie.gain_db": 2.0,
    }  # fmt: skip
