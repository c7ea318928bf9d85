"""Error of the client."""

from __future__ import annotations


class ServiceError(Exception):
    """Error: the service answered with a refusal or not at all.

    Attributes:
        status: the HTTP status; 0 if there was no answer.
        detail: what the service said.
    """

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}" if status else detail)
        self.status = status
        self.detail = detail
