"""schemathesis walks the live OpenAPI: no 5xx, answers as described, whatever is sent."""

import contextlib
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from live import Live

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 5
LEFT_OUT = {"job_wait"}  # takes as long as it is told to


def test_answers_are_as_the_openapi_says(swarm: Live) -> None:
    schema = schemathesis.openapi.from_url(f"{swarm.url}/docs/openapi.json", config=SchemathesisConfig())
    seen: list[str] = []
    wrong: list[str] = []
    for found in schema.get_all_operations():
        operation = found.ok()
        name = operation.definition.raw["operationId"]
        seen.append(name)
        if name not in LEFT_OUT:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                wrong += walk(swarm, operation, mode)
    assert len(seen) > 40
    assert not wrong, f"{len(wrong)} failed:\n" + "\n".join(wrong)


def walk(swarm: Live, operation: Any, mode: GenerationMode) -> list[str]:
    """Ask for one operation with made-up input; what was not as it should be."""
    wrong: list[str] = []

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        response = case.call(headers=swarm.as_admin, timeout=30)
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as failures:
            told = "; ".join(f"{type(failure).__name__}: {failure}"[:300] for failure in failures.exceptions)
            wrong.append(f"{case.as_curl_command()[:400]} -> {response.status_code} {response.text[:200]}: {told}")

    if mode is GenerationMode.POSITIVE:
        ask()
    else:
        with contextlib.suppress(Unsatisfiable):  # what takes no input cannot be given a wrong one
            ask()
    return wrong[:3]
