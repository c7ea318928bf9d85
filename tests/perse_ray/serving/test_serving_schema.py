"""The service keeps what its own description promises, whatever is asked: schemathesis makes the requests up."""

from __future__ import annotations

import pytest
import schemathesis
from flat_service import FlatService
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

from perse_ray.serving.drawing.tasks import EncodedPictures, Understand, Work
from perse_ray.serving.http.app import create_app


class DrawsNothing(FlatService):
    """Answers at once, whoever is asked for: what is tried is the door, not the drawing."""

    def _check(self, avatar: str) -> None:
        pass

    async def run(self, avatar: str, work: Work) -> object:  # type: ignore[type-arg, override]
        answers: dict[type, object] = {EncodedPictures: [b""], Understand: []}
        return answers.get(type(work), b"")


schema = schemathesis.openapi.from_asgi("/openapi.json", create_app(DrawsNothing()))


@pytest.mark.filterwarnings("ignore")
@schema.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_no_request_is_answered_with_a_fault_of_ours(case: schemathesis.Case) -> None:
    answer = case.call()
    case.validate_response(answer, checks=[not_a_server_error])
    assert answer.status_code < 500 or answer.status_code == 503
