"""The whole API against its own description: whatever it allows, and what it forbids, by several people.

No error of ours, no answer that is not described. What an example changes is undone before the next.
"""

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks

from access.models import ApiToken
from api.main import api
from tests.security.table import API, API_BODIES
from tests.security.test_hostile_api import fitting
from tests.security.test_rights import undone
from tests.security.world import World, make_world

pytestmark = [pytest.mark.django_db, pytest.mark.thorough]
EXAMPLES = int(os.environ.get("DROVER_SCHEMA_EXAMPLES", "4"))  # of each kind for each call
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
QUIET: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "suppress_health_check": list(HealthCheck),
}


def described() -> Any:
    schema = schemathesis.openapi.from_dict(dict(api.get_openapi_schema()))
    schema.app = get_wsgi_application()
    return schema


def try_call(operation: Any, world: World, headers: dict[str, str], mode: GenerationMode, examples: int) -> None:
    row = API[operation.definition.raw["operationId"]]
    good = fitting(API_BODIES.get(operation.definition.raw["operationId"], {}), world)
    there = dict(zip([one.name for one in operation.path_parameters], row.values(world), strict=True))

    @settings(max_examples=examples, **QUIET)
    @given(case=operation.as_strategy(generation_mode=mode), is_there=st.booleans(), which=st.integers(0, 20))
    def try_it(case: Any, is_there: bool, which: int) -> None:
        if is_there and there:  # a random UUID is never one of ours
            case.path_parameters = {name: str(value) for name, value in there.items()}
        if is_there and isinstance(case.body, dict) and good:  # nor gets much further that is odd in every field
            field = sorted(good)[which % len(good)]
            case.body = {**good, **{name: value for name, value in case.body.items() if name == field}}
        with undone():
            case.call_and_validate(headers=headers, checks=CHECKS)

    try_it()


@pytest.fixture
def one_connection(db: None) -> Iterator[None]:
    """The test's own, with its transaction, for all requests: as Django's test client has it."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


# what is wrong in itself is refused before rights are asked for each of its fields: one person is enough for it
@pytest.mark.parametrize(
    ("person", "mode"),
    [
        ("administrator", GenerationMode.POSITIVE),
        ("administrator", GenerationMode.NEGATIVE),
        ("owner", GenerationMode.POSITIVE),
        ("anonymous", GenerationMode.POSITIVE),
    ],
)
def test_every_call(person: str, mode: GenerationMode, subtests: Any, one_connection: None) -> None:
    world, headers = make_world(), {}
    if person != "anonymous":
        _token, secret = ApiToken.make(world.users[person], "schemathesis")
        headers["Authorization"] = f"Bearer {secret}"
    for found in described().get_all_operations():
        operation = found.ok()
        with subtests.test(call=operation.label):
            try_call(operation, world, headers, mode, EXAMPLES if headers else 1)  # nobody gets far
