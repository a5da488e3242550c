"""What the cells of the matrix say."""

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from hosts.models import Host
from hosts.states import HostState
from storage import matrix
from storage.backends import identity
from storage.models import Pool, PoolOnHost
from storage.operations.pools import spec_of
from tests.factories import GIB, make_host, make_pool

pytestmark = pytest.mark.django_db
SOURCE = {"host": "nas", "path": "/vms"}


@pytest.fixture
def pool() -> Pool:
    pool = make_pool("vms", make_host("one"), make_host("two"), kind="nfs", source=SOURCE)
    PoolOnHost.objects.update(identity=identity(spec_of(pool)))
    return pool


def cells(pool: Pool) -> dict[str, matrix.Cell]:
    rows = matrix.rows([Pool.objects.prefetch_related("presences").get(pk=pool.pk)], list(Host.objects.all()))
    return {cell.host.name: cell for cell in rows[0].cells}


def test_it_works(pool: Pool) -> None:
    make_host("three")
    found = cells(pool)
    assert (found["one"].word, found["one"].colour) == ("active", "green")
    assert found["three"].row is None


@pytest.mark.parametrize(
    ("change", "word", "colour"),
    [
        ({"is_active": False}, "stopped", "orange"),
        ({"missing_since": timezone.now(), "is_active": False}, "missing", "red"),
        ({"error": "The storage does not answer."}, "does not answer", "red"),
        ({"identity": "nfs://other/vms → /x"}, "differs", "red"),
        ({"seen_at": None, "failure": "no mount.nfs"}, "failed", "red"),
        ({"seen_at": None, "is_active": False}, "not yet there", "secondary"),
    ],
)
def test_cells(pool: Pool, change: dict[str, Any], word: str, colour: str) -> None:
    PoolOnHost.objects.filter(host__name="two").update(**change)
    cell = cells(pool)["two"]
    assert (cell.word, cell.colour) == (word, colour)
    assert cells(pool)["one"].word == "active"


def test_a_host_that_does_not_answer_makes_only_its_own_cell_grey(pool: Pool) -> None:
    Host.objects.filter(name="two").update(observed_state=HostState.UNREACHABLE)
    found = cells(pool)
    assert (found["two"].word, found["two"].colour) == ("unknown", "secondary")
    assert found["one"].colour == "green"


def test_differences_name_both_sides(pool: Pool) -> None:
    PoolOnHost.objects.filter(host__name="two").update(identity="nfs://other/vms → /x")
    assert "nfs://other/vms → /x instead of nfs://nas/vms" in cells(pool)["two"].reason


def test_an_adopted_pool_is_what_most_hosts_have(pool: Pool) -> None:
    three = make_host("three")
    PoolOnHost.objects.create(pool=pool, host=three, is_active=True, identity="other", seen_at=timezone.now())
    Pool.objects.update(is_adopted=True)
    assert cells(pool)["three"].word == "differs"
    assert cells(pool)["one"].word == "active"


def test_sizes_of_shared_pools_count_once(pool: Pool) -> None:
    PoolOnHost.objects.filter(host__name="one").update(
        available_bytes=10 * GIB, seen_at=timezone.now() + timedelta(seconds=5)
    )
    row = matrix.rows([Pool.objects.prefetch_related("presences").get()], [])[0]
    assert (row.capacity_bytes, row.available_bytes, row.used_percent) == (100 * GIB, 10 * GIB, 90.0)
    Pool.objects.update(is_shared=False)
    row = matrix.rows([Pool.objects.prefetch_related("presences").get()], [])[0]
    assert (row.capacity_bytes, row.available_bytes) == (200 * GIB, 60 * GIB)


def test_the_page(admin_client: Client, pool: Pool, django_assert_max_num_queries: Any) -> None:
    for number in range(20):
        make_host(f"node{number:02}")
    with django_assert_max_num_queries(16):
        answer = admin_client.get(reverse("storage:index"))
    assert answer.status_code == 200
    text = answer.content.decode()
    assert "Hosts 1 to 8 of 22" in text
    partial = admin_client.get(reverse("storage:index") + "?host=one&q=vm", headers={"HX-Request": "true"})
    assert partial.content.decode().lstrip().startswith('<div id="pool-matrix"')
    assert [cell.host.name for cell in partial.context["rows"][0].cells] == ["one"]


def test_pools_of_a_host(admin_client: Client, pool: Pool) -> None:
    answer = admin_client.get(reverse("storage:on_host", args=[Host.objects.get(name="one").pk]))
    assert "vms" in answer.content.decode()
    assert admin_client.get(reverse("storage:on_host", args=[9999])).status_code == 404
