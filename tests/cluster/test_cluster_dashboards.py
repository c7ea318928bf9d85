"""What the dashboards ask Prometheus for is what the service counts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from perse_ray.serving.protection.metrics import Metrics

FOLDER = Path(__file__).parents[2] / "cluster" / "dashboards"
NAME = re.compile(r"\bperse_[a-z_]+")
BY = re.compile(r"\bby \(([^)]*)\)")
MATCHED = re.compile(r"(\w+)(?:=~|!~|!=|=)\"")


def counted() -> dict[str, set[str]]:
    """Labels of every series, by its name, of a service that has seen one of each."""
    metrics = Metrics()
    metrics.requests.labels("GET", "/", "200").inc()
    metrics.seconds.labels("/").observe(0.1)
    metrics.under_way.labels("pictures").inc()
    metrics.pictures.labels("http").inc()
    found: dict[str, set[str]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def asked() -> list[str]:
    board: dict[str, Any] = json.loads((FOLDER / "render-service.json").read_text())
    rules: dict[str, Any] = yaml.safe_load((FOLDER / "alerts.yaml").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel["targets"]] + [
        rule["expr"] for group in rules["groups"] for rule in group["rules"]
    ]


def test_every_series_and_label_that_is_asked_for_is_counted() -> None:
    series = counted()
    for question in asked():
        names = NAME.findall(question)
        assert names and set(names) <= set(series), question
        labels = {label.strip() for found in BY.findall(question) for label in found.split(",")}
        labels |= set(MATCHED.findall(question))
        assert labels <= set().union(*(series[name] for name in names)), question


def test_everything_that_is_counted_is_shown() -> None:
    shown = {name for question in asked() for name in NAME.findall(question)}
    for family in Metrics().registry.collect():
        assert any(name.startswith(family.name) for name in shown), family.name


def test_panels_have_a_place_of_their_own() -> None:
    board = json.loads((FOLDER / "render-service.json").read_text())
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places) == len({panel["id"] for panel in board["panels"]})
