"""The API itself: its parts, its errors, its OpenAPI page."""

from django.contrib.auth.decorators import login_not_required
from django.urls import URLPattern, URLResolver

from api import (
    audit,
    classes,
    consoles,
    hosts,
    images,
    invitations,
    jobs,
    leases,
    networks,
    notices,
    offers,
    people,
    pools,
    problems,
    quotas,
    requests,
    shares,
    snapshots,
    ssh_keys,
    tokens,
    uploads,
    vms,
)
from api.auth import AUTH, reader_required
from api.body import JsonOnly
from api.limits import PerPerson
from api.openapi import DroverApi

api = DroverApi(
    title="Drover",
    version="1",
    description="Clusters of plain libvirt/KVM hosts. Every change answers 202 with a job; ask the job how it goes.",
    urls_namespace="api",
    auth=AUTH,
    parser=JsonOnly(),
    throttle=[PerPerson()],
    docs_url="/docs",
    docs_decorator=reader_required,
)
api.add_router("/hosts", hosts.router)
api.add_router("/networks", networks.router)
api.add_router("/pools", pools.router)
api.add_router("/images", images.router)
api.add_router("/uploads", uploads.router)
api.add_router("/vms", vms.router)
api.add_router("/vms", consoles.router)
api.add_router("/vms", snapshots.router)
api.add_router("/vms", shares.router)
api.add_router("/jobs", jobs.router)
api.add_router("", people.router)
api.add_router("/invitations", invitations.router)
api.add_router("", quotas.router)
api.add_router("", offers.router)
api.add_router("", requests.router)
api.add_router("", leases.router)
api.add_router("", classes.router)
api.add_router("/ssh-keys", ssh_keys.router)
api.add_router("/notices", notices.router)
api.add_router("/tokens", tokens.router)
api.add_router("/audit", audit.router)
problems.install(api)


def urls() -> tuple[list[URLPattern | URLResolver], str, str]:
    """The API's addresses. They ask for a token or session themselves: the login page would help no script."""
    patterns, app_name, namespace = api.urls
    for pattern in patterns:
        if isinstance(pattern, URLPattern):
            pattern.callback = login_not_required(pattern.callback)
    return patterns, app_name, namespace
