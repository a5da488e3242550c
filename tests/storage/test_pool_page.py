"""The page of a pool that many hosts have: what is wrong comes first, the rest in pages."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from hosts.states import HostState
from jobs.models import Job
from storage.backends import identity
from storage.models import Pool, PoolOnHost, Volume
from storage.operations.pools import spec_of
from storage.views.pools import CELLS_PER_PAGE
from tests.factories import make_host, make_pool

pytestmark = pytest.mark.django_db
NUMBER = 40


@pytest.fixture
def pool() -> Pool:
    hosts = [make_host(f"node{number:02}") for number in range(NUMBER)]
    made = make_pool("vms", *hosts, kind="nfs", source={"host": "nas", "path": "/vms"})
    PoolOnHost.objects.update(identity=identity(spec_of(made)))
    return made


def spoil(name: str, **changes: Any) -> None:
    PoolOnHost.objects.filter(host__name=name).update(**changes)


def rows(client: Client, pool: Pool, query: str = "") -> list[str]:
    headers = {"HX-Request": "true", "HX-Target": "pool-live"}
    text = client.get(pool.get_absolute_url() + query, headers=headers).content.decode()
    assert text.count('id="pool-live"') == 1
    assert 'id="volumes"' not in text
    return re.findall(r'<tr id="cell-\d+">\s*<td class="name wide"><a href="[^"]+">([^<]+)</a>', text)


def test_what_is_wrong_comes_first(admin_client: Client, pool: Pool) -> None:
    spoil("node30", is_active=False)
    spoil("node31", identity="nfs://other/vms")
    spoil("node32", autostart=False)
    make = PoolOnHost.objects.get(host__name="node33").host
    type(make).objects.filter(pk=make.pk).update(observed_state=HostState.UNREACHABLE)
    assert rows(admin_client, pool)[:5] == ["node31", "node30", "node33", "node32", "node00"]


def test_the_summary_counts_all_hosts(admin_client: Client, pool: Pool) -> None:
    for number in range(30, 37):
        spoil(f"node{number}", error="The storage does not answer.")
    spoil("node39", autostart=False)
    text = admin_client.get(pool.get_absolute_url() + "?host=node00").content.decode()
    summary = re.sub(r"<[^>]+>|\s+", " ", text[text.index("pool-counts") : text.index('name="host"')])
    assert " 7 does not answer" in re.sub(" +", " ", summary)
    assert " 33 active" in re.sub(" +", " ", summary)
    assert "1 active one has a remark" in summary


def test_every_host_is_on_one_of_the_pages(admin_client: Client, pool: Pool) -> None:
    pages = [rows(admin_client, pool, f"?hosts={number}") for number in range(1, NUMBER // CELLS_PER_PAGE + 1)]
    assert {len(page) for page in pages} == {CELLS_PER_PAGE}
    assert len({name for page in pages for name in page}) == NUMBER


def test_a_host_is_found_by_its_name(admin_client: Client, pool: Pool) -> None:
    assert rows(admin_client, pool, "?host=NODE3") == [f"node{number}" for number in range(30, 40)]
    assert rows(admin_client, pool, "?host=elsewhere") == []


def test_live_and_the_pages_keep_the_search(admin_client: Client, pool: Pool) -> None:
    text = admin_client.get(pool.get_absolute_url() + "?host=node&hosts=2").content.decode()
    live = re.search(r'id="pool-live"[^>]* hx-get="([^"]+)"', text)
    assert live is not None
    assert live[1].endswith("?host=node&amp;hosts=2")
    assert f'hx-get="{pool.get_absolute_url()}?host=node&amp;hosts=3"' in text


def test_a_few_hosts_need_no_search(admin_client: Client) -> None:
    small = make_pool("few", make_host("one"), make_host("two"))
    text = admin_client.get(small.get_absolute_url()).content.decode()
    assert "Find a host by name" not in text
    assert rows(admin_client, small) == ["one", "two"]


def test_trying_again_reaches_all_hosts_and_not_only_the_page(admin_client: Client, pool: Pool) -> None:
    PoolOnHost.objects.update(seen_at=None, failure="no mount.nfs", is_active=False)
    admin_client.post(reverse("storage:retry_pool", args=[pool.pk]))
    assert len(Job.objects.get(parent=None).params["hosts"]) == NUMBER


def test_pages_of_volumes_are_told_from_pages_of_hosts(admin_client: Client, pool: Pool) -> None:
    for number in range(30):
        Volume.objects.create(pool=pool, name=f"disk{number:02}", path=f"{pool.target_path}/disk{number:02}")
    url = pool.get_absolute_url()
    headers = {"HX-Request": "true", "HX-Target": "volumes", "HX-Current-URL": f"http://testserver{url}"}
    text = admin_client.get(url + "?page=3", headers=headers).content.decode()
    assert 'id="pool-live"' not in text
    assert "disk29" in text
    assert "disk00" not in text
    assert f'hx-get="{url}?page=2"' in text
    assert 'hx-push-url="true"' in text


def test_queries_do_not_grow_with_hosts(admin_client: Client, pool: Pool, django_assert_max_num_queries: Any) -> None:
    with django_assert_max_num_queries(18):
        admin_client.get(pool.get_absolute_url())
