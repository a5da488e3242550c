"""The API's description of itself: besides what each call says of its answers, the errors that any call may give."""

from http import HTTPStatus
from typing import Any

from ninja import NinjaAPI
from ninja.operation import Operation

from api.problems import TYPE
from api.schemas import Problem

PROBLEM = {TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
ANY_CALL = {400, 401, 403, 404, 422, 429, 500, 503}
WITH_A_BODY = {413, 415}
LATER = {429, 503}  # these may say when to ask again
RETRY = {"Retry-After": {"schema": {"type": "integer", "minimum": 0}, "description": "seconds"}}


class DroverApi(NinjaAPI):
    def __init__(self, **about: Any) -> None:
        super().__init__(**about)
        self._schemas: dict[str, Any] = {}

    def get_openapi_operation_id(self, operation: Operation) -> str:
        return operation.view_func.__name__

    def get_openapi_schema(self, *, path_prefix: str | None = None, path_params: Any = None) -> Any:
        """Made once for each prefix: it takes a second, and calls don't change."""
        prefix = self.get_root_path(path_params or {}) if path_prefix is None else path_prefix
        if prefix not in self._schemas:
            self._schemas[prefix] = self._schema(prefix)
        return self._schemas[prefix]

    def _schema(self, prefix: str) -> Any:
        schema = super().get_openapi_schema(path_prefix=prefix)
        for calls in schema["paths"].values():
            for call in calls.values():
                _add_errors(call)
        components = schema["components"]
        components["schemas"]["Problem"] = Problem.json_schema()
        every = ANY_CALL | WITH_A_BODY
        components["responses"] = {f"Problem{status}": _described(status) for status in sorted(every)}
        return schema


def _described(status: int) -> dict[str, Any]:
    more: dict[str, Any] = {"headers": RETRY} if status in LATER else {}
    return {"description": HTTPStatus(status).phrase, "content": PROBLEM, **more}


def _add_errors(call: dict[str, Any]) -> None:
    answers = call["responses"]
    common = ANY_CALL | WITH_A_BODY if "requestBody" in call else ANY_CALL
    for status in [one for one in answers if one >= 400]:
        answers[status] = _described(status)
    for status in common:
        answers[status] = {"$ref": f"#/components/responses/Problem{status}"}
    call["responses"] = dict(sorted(answers.items()))
