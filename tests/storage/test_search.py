"""What a storage server offers, asked by libvirt's simulated driver: it knows one NFS export of every server."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from access.models import Role, User
from hosts.models import Host
from hosts.states import HostState
from jobs.errors import Refused
from jobs.models import Job
from storage.operations.search import SearchServer
from tests.factories import client_of, make_user
from tests.storage.conftest import Do, finish

pytestmark = pytest.mark.django_db
WISH: dict[str, Any] = {"kind": "nfs", "host": "nas.example.org"}


def test_it_works(simulated: Callable[..., Host], do: Do, admin_client: Client) -> None:
    """From the dialog: a job, then the exports as buttons."""
    host = simulated()
    begun = admin_client.post(reverse("storage:search"), {**WISH, "hosts": [host.pk]})
    job = Job.objects.get()
    assert f"job.{job.pk}" in begun.content.decode()
    assert finish(job).state == "succeeded", (job.error, job.technical)
    assert job.result == {"offered": ["/testshare"], "host": host.name}
    assert "find-storage-pool-sources-as netfs nas.example.org" in job.commands[0]
    found = admin_client.get(reverse("storage:found", args=[job.pk])).content.decode()
    assert 'data-fill="path" value="/testshare"' in found


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"kind": "dir"}, "can&#x27;t be asked"),
        ({"kind": "<b>"}, "can&#x27;t be asked"),
        ({"host": ""}, "Fill in the server first."),
        ({"host": "-o x"}, "address"),
        ({"hosts": []}, "Choose a host"),
        ({"hosts": ["²", "9" * 30]}, "Choose a host"),
    ],
)
def test_what_can_not_be_asked(
    simulated: Callable[..., Host], do: Do, admin_client: Client, wrong: dict[str, Any], words: str
) -> None:
    answer = admin_client.post(reverse("storage:search"), {**WISH, "hosts": [simulated().pk], **wrong})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Job.objects.exists()


def test_a_host_that_does_not_answer_is_not_asked(simulated: Callable[..., Host], do: Do, admin: User) -> None:
    down, up = simulated("alpha", observed_state=HostState.UNREACHABLE), simulated("beta")
    params = {"kind": "nfs", "server": "nas"}
    assert do(SearchServer(None, {**params, "hosts": [down.pk, up.pk]}), admin).result["host"] == "beta"
    with pytest.raises(Refused, match="Choose a host"):
        do(SearchServer(None, {**params, "hosts": [down.pk]}), admin)


def test_others_searches_are_not_shown(simulated: Callable[..., Host], do: Do, admin: User) -> None:
    job = do(SearchServer(None, {"kind": "nfs", "server": "nas", "hosts": [simulated().pk]}), admin)
    other = Job.objects.create(operation="vms.start", title="x", user=admin)
    client = client_of(make_user("root2", Role.ADMINISTRATOR))
    assert client.get(reverse("storage:found", args=[job.pk])).status_code == 200
    assert client.get(reverse("storage:found", args=[other.pk])).status_code == 404
