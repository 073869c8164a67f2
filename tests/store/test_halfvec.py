from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seemory.store.connect import Database
from seemory.store.halfvec import Halfvec


@given(arrays.arrays(np.float32, st.integers(1, 64), elements=st.floats(-2.0, 2.0, width=32)))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_comes_back_as_halves_of_what_went_in(database: Database, vector: np.ndarray) -> None:
    with database.transaction(None) as connection:
        for binary in (True, False):
            with connection.cursor(binary=binary) as cursor:
                (found,) = cursor.execute("SELECT %s::halfvec", [Halfvec(vector)]).fetchone()
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, vector.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("dim", [1, 512, 4000])
def test_postgres_reads_it_as_it_was_meant(database: Database, dim: int) -> None:
    vector = np.linspace(-1, 1, dim, dtype=np.float32)
    with database.transaction(None) as connection:
        text, width = connection.execute(
            "SELECT (%s::halfvec)::text, vector_dims(%s)", [Halfvec(vector), Halfvec(vector)]
        ).fetchone()
    assert width == dim
    np.testing.assert_allclose(np.fromstring(text[1:-1], sep=","), vector, atol=1e-3)
