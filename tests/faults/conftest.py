"""What every test of faults begins with."""

import pytest

from tests.clusterkit import Cluster


@pytest.fixture(autouse=True)
def _found_before(cluster: Cluster) -> None:
    """What other tests, and their own Drovers, left on the shared pool is no orphan of this test."""
    cluster.found = frozenset(cluster.files())
