"""Making a host's row: by steps for people (hosts.operations.onboarding), at once for what is known to be right."""

from collections.abc import Sequence

from hosts.models import Host
from hosts.states import Transport


def register(
    name: str,
    *,
    transport: str = Transport.SSH,
    address: str = "",
    port: int = 0,
    username: str = "root",
    path: str = "",
    host_keys: Sequence[tuple[str, str]] = (),
) -> Host:
    """A host that belongs to the cluster from now on: this machine, the lab's hosts. Database only."""
    return Host.objects.create(
        name=name,
        transport=transport,
        address=address,
        port=port,
        username=username,
        path=path,
        host_keys=[list(key) for key in host_keys],
    )
