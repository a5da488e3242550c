"""From a wish to VM rows and jobs: what the create page and the API both call. Database only, but for secrets."""

import ipaddress
import json
import random
from dataclasses import asdict
from typing import Any
from uuid import uuid4

from django.db import connection, transaction
from django.utils.translation import gettext as _

from access.models import User
from hosts.models import Host
from jobs import secrets
from jobs.engine import enqueue
from jobs.errors import Refused
from jobs.models import Job
from storage.models import Image, Pool
from ui import live
from virt import names
from vms.checks import clean_tags
from vms.models import MacAddress, Vm
from vms.operations.change import set_tags
from vms.operations.create import CreateVm, CreateVms
from vms.placement import Candidate, Places, Wish, best
from vms.spec import NewVms, hostname_of, problems
from vms.states import VmState

ONE_AT_A_TIME = 0x64726F77  # PostgreSQL advisory lock; SQLite has one writer anyway
MAC_PREFIX = "52:54:00"
_random = random.SystemRandom()


def place_wish(wish: NewVms) -> Wish:
    """What placement must look at for one of these VMs."""
    pool, image, iso = wish.wanted_pool(), wish.wanted_image(), wish.wanted_iso()
    return Wish(
        memory_bytes=wish.memory_bytes,
        vcpus=wish.vcpus,
        pools=(pool,) if pool else (),
        images=tuple(one for one in (image, iso) if one),
        networks=tuple(dict.fromkeys(nic.network for nic in wish.nics if nic.network)),
        bridges=tuple(dict.fromkeys(nic.bridge for nic in wish.nics if nic.bridge)),
    )


def request(user: User, wish: NewVms) -> Job:
    """Check everything, write the VMs' rows (state creating) and the job. Raises Refused for the first problem."""
    references = ready(wish)
    with transaction.atomic():
        vms, params = rows(user, wish, references)
        if wish.count == 1:
            return enqueue(CreateVm(vms[0], params[0]), user=user)
        first_and_last = {"first": vms[0].name, "last": vms[-1].name, "count": wish.count}
        parts = [{"uuid": str(vm.uuid), "params": one} for vm, one in zip(vms, params, strict=True)]
        return enqueue(CreateVms(None, {**first_and_last, "parts": parts}), user=user)


def ready(wish: NewVms) -> list[str]:
    """Before the transaction: check everything and put the secrets away. Returns one reference to them for each VM."""
    for name, message in problems(wish).items():
        raise Refused(message, field=name)
    return _put_secrets(wish)


def rows(user: User, wish: NewVms, references: list[str]) -> tuple[list[Vm], list[dict[str, Any]]]:
    """The VMs' rows, and what the job of each (`CreateVm`) must be told. Inside the caller's transaction."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ONE_AT_A_TIME])
    for name, message in problems(wish).items():  # again, now that nobody else can take the name or the MAC
        raise Refused(message, field=name)
    hosts = choose_hosts(wish)
    vms = [_make_row(user, wish, name, host) for name, host in zip(wish.names(), hosts, strict=True)]
    live.publish("vms")
    return vms, [_params(wish, vm, place, references[place]) for place, vm in enumerate(vms)]


def choose_hosts(wish: NewVms) -> list[Host]:
    """The host of each VM: the one asked for, or the best place for each in turn."""
    places = Places(place_wish(wish))
    if wish.host is not None:
        chosen = next((one for one in places.candidates() if one.host.pk == wish.host), None)
        return [_insist(chosen)] * wish.count
    hosts = []
    for _each in range(wish.count):
        hosts.append(best(places.wish, places).host)
        places.take(hosts[-1])
    return hosts


def _insist(chosen: Candidate | None) -> Host:
    """The host a person asked for, even if memory is short there; not if it can't work at all."""
    if chosen is None:
        raise Refused(_("This host is not known."), field="host")
    if not chosen.is_possible:
        against = " ".join(reason.text for reason in chosen.reasons if not reason.ok and reason.is_hard)
        raise Refused(f"{chosen.host}: {against}", field="host")
    return chosen.host


def _put_secrets(wish: NewVms) -> list[str]:
    """One reference per VM to what must not lie in a job's row; "" if there is nothing."""
    boot = wish.first_boot
    if not boot.enabled or not (boot.password_hash or boot.user_data):
        return [""] * wish.count
    text = json.dumps({"password_hash": boot.password_hash, "user_data": boot.user_data})
    return [secrets.put(text) for _each in range(wish.count)]


def _make_row(user: User, wish: NewVms, name: str, host: Host) -> Vm:
    vm = Vm.objects.create(
        uuid=uuid4(),
        name=name,
        title=wish.title,
        description=wish.description,
        owner_id=wish.owner or user.pk,
        image=wish.wanted_image(),
        is_adopted=False,
        host=host,
        observed_state=VmState.CREATING,
        memory_bytes=wish.memory_bytes,
        vcpus=wish.vcpus,
        autostart=wish.autostart,
    )
    set_tags(vm, clean_tags(wish.tags))
    for nic in wish.nics:
        _take_mac(vm, nic.mac)
    return vm


def _take_mac(vm: Vm, wanted: str) -> None:
    """Reserve the wanted MAC, or a random one that nobody in the cluster has."""
    if wanted:
        MacAddress.objects.create(mac=names.check_mac(wanted), vm=vm)
        return
    while True:
        mac = MAC_PREFIX + "".join(f":{_random.randrange(256):02x}" for _byte in range(3))
        if not MacAddress.objects.filter(mac=mac).exists():
            MacAddress.objects.create(mac=mac, vm=vm)
            return


def _params(wish: NewVms, vm: Vm, place: int, reference: str) -> dict[str, Any]:
    """What the worker needs for one VM: everything decided, nothing secret."""
    image, pool, iso = wish.wanted_image(), wish.wanted_pool(), wish.wanted_iso()
    macs = list(vm.macs.order_by("pk").values_list("mac", flat=True))
    return {
        "host": vm.host_id,
        "image": _pk(image),
        "iso": _pk(iso),
        "pool": _pk(pool),
        "disk_bytes": wish.disk_bytes or (image.virtual_size_bytes if image else 0),
        "vcpus": wish.vcpus,
        "max_vcpus": wish.max_vcpus,
        "memory_bytes": wish.memory_bytes,
        "firmware": wish.firmware,
        "cpu": wish.cpu,
        "start": wish.start,
        "autostart": wish.autostart,
        "nics": [_nic(asdict(nic), mac, place) for nic, mac in zip(wish.nics, macs, strict=True)],
        "first_boot": _first_boot(wish, vm),
        "secret": reference,
    }


def _pk(row: Image | Pool | None) -> int | None:
    return None if row is None else row.pk


def _nic(nic: dict[str, Any], mac: str, place: int) -> dict[str, Any]:
    """With a fixed address, each next VM of several gets the next one."""
    if nic["address"]:
        first = ipaddress.ip_interface(nic["address"])
        nic["address"] = f"{first.ip + place}/{first.network.prefixlen}"
    return {**nic, "mac": mac}


def _first_boot(wish: NewVms, vm: Vm) -> dict[str, Any]:
    boot = wish.first_boot
    shown = {key: value for key, value in asdict(boot).items() if key not in {"password_hash", "user_data"}}
    hostname = boot.hostname if boot.hostname and wish.count == 1 else hostname_of(vm.name)
    secret = {"has_password": bool(boot.password_hash), "has_user_data": bool(boot.user_data.strip())}
    return {**shown, "hostname": hostname, **secret}
