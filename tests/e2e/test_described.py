"""The API's description is true: requests made from it, good and bad, by schemathesis; bounded in number."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi import checks

from seemory.memory import Memory
from seemory.metrics import Metrics
from seemory.service.app import make_app
from seemory.settings import ServiceSettings, read_settings

schemathesis = pytest.importorskip("schemathesis")

ROUTES = 29
A_ROUTE = 5
"""Requests of each kind."""


@pytest.fixture(scope="module")
def schema(home: Path, package_photographs: dict[str, Path]) -> Iterator[Any]:
    name = f"described-{uuid4().hex[:8]}"
    with Memory(read_settings(home=home, owner=name, collection=name), model="seemory-mini") as memory:
        memory.index(package_photographs["cat"], package_photographs["flower"])
        app = make_app(memory, ServiceSettings(keys="none", timeout_s=300), Metrics())
        yield schemathesis.openapi.from_asgi("/v1/openapi.json", app)


@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_the_description_is_true(schema: Any, mode: str) -> None:
    operations = [one.ok() for one in schema.get_all_operations()]
    assert len(operations) == ROUTES
    wrong = []
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
        @settings(
            max_examples=A_ROUTE,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def holds(case: Any) -> None:
            # What a schema cannot say (an id that exists, a condition that can be read) may be refused.
            case.call_and_validate(excluded_checks=[checks.positive_data_acceptance])

        try:
            holds()
        except Unsatisfiable:  # a route that takes nothing can be asked nothing wrong
            assert mode == "negative"
        except BaseExceptionGroup as error:
            wrong.append(f"{operation.label}: {error}")
    assert not wrong, "\n\n".join(wrong)
