"""A populated database and ten people, for tests that try every address as each of them."""

from dataclasses import dataclass
from uuid import UUID, uuid4

from django.test import Client
from django.utils import timezone

from access import invitations, shares
from access.models import CONSOLE_ONLY, ApiToken, Grant, Group, Invitation, Role, SshKey, User, WebSession
from audit.models import Entry
from hosts.models import Host, Network
from jobs.models import Job
from jobs.states import State
from notices.models import Notice
from notices.tell import tell
from selfservice.models import LabClass, Offer, Request, Seat
from storage.models import Image, ImageState, Pool, Upload, Volume
from tests.factories import give, make_group, make_host, make_network, make_pool, make_vm
from tests.selfservice.kit import ask, make_offer
from vms import links
from vms.models import DefinitionVersion, ScreenLink, Snapshot, Vm
from vms.states import VmState

ROLES = {
    "stranger": Role.USER,  # in the group all the same, which gives nothing by itself
    "owner": Role.USER,
    "manager": Role.USER,
    "helper": Role.USER,
    "guest": Role.USER,
    "approver": Role.APPROVER,
    "operator": Role.OPERATOR,
    "auditor": Role.AUDITOR,
    "administrator": Role.ADMINISTRATOR,
}
PEOPLE = ("anonymous", *ROLES)
XML = "<domain type='qemu'><name>web-07</name><memory unit='KiB'>1048576</memory></domain>"


@dataclass
class World:
    """One of everything. `owner` owns the VM, its jobs, and a token; `manager` manages the group the VM is in;
    `helper` may use it, `guest` its console only.

    `wish` is what the owner asked for, for that group.
    """

    users: dict[str, User]
    host: Host
    other_host: Host
    new_host: Host
    pool: Pool
    network: Network
    image: Image
    volume: Volume
    upload: Upload
    vm: Vm
    job: Job
    migration: Job
    token: ApiToken
    group: Group
    grant: Grant
    entry: Entry
    ssh_key: SshKey
    offer: Offer
    wish: Request
    invitation: Invitation
    secret: str  # of the invitation
    snapshot: Snapshot
    link: ScreenLink
    link_secret: str
    lab_class: LabClass  # of the manager's group
    seat: Seat
    session: WebSession  # another browser of the owner's

    @property
    def person(self) -> User:
        return self.users["approver"]

    @property
    def share(self) -> Grant:
        """The owner's, with the guest."""
        return Grant.objects.get(is_share=True, to_user=self.users["guest"])

    @property
    def search(self) -> Job:
        """What an administrator asked a storage server."""
        return Job.objects.get_or_create(operation="storage.search", user=self.users["administrator"])[0]

    @property
    def member(self) -> User:
        return self.users["stranger"]

    @property
    def notice(self) -> Notice:
        """The owner's."""
        return Notice.objects.get(title="web-07 is yours")

    def client(self, person: str, *, enforce_csrf_checks: bool = False) -> Client:
        client = Client(enforce_csrf_checks=enforce_csrf_checks)
        if person != "anonymous":
            client.force_login(self.users[person])
        return client


def make_world() -> World:
    users = {name: User.objects.create_user(name, role=role) for name, role in ROLES.items()}
    host, other = make_host("vmhost1"), make_host("vmhost2")
    new = make_host("vmhost9", is_managed=False, setup_step="keys")
    pool, network = make_pool("vmstorage", host, other), make_network("default", host)
    image = Image.objects.create(name="tiny", version="1", pool=pool, volume_name="tiny.qcow2", state=ImageState.READY)
    volume = Volume.objects.create(pool=pool, name="spare.qcow2", path=f"{pool.target_path}/spare.qcow2")
    group = make_group("Networks", users["stranger"], users["owner"], manager=users["manager"])
    vm = make_vm(host, pool=pool, owner=users["owner"], group=group, definition=XML, live_definition=XML)
    DefinitionVersion.objects.create(vm=vm, xml=XML, cause="adopted")
    link, link_secret = links.make(users["owner"], vm, 1)
    snapshot = Snapshot.objects.create(vm=vm, name="before", taken_at=timezone.now())
    about = {"target_kind": "vm", "target_key": str(vm.uuid), "target_label": vm.name, "user": users["owner"]}
    job = Job.objects.create(operation="vms.pause", title="Pause web-07", **about)
    migration = Job.objects.create(operation="vms.migrate", title="Migrate web-07", state=State.FAILED, **about)
    upload = Upload.objects.create(id=uuid4(), image=image, user=users["operator"], host=host, size_bytes=10)
    token, _secret = ApiToken.make(users["owner"], "script")
    shares.give(users["owner"], vm, users["helper"], Role.USER)
    shares.give(users["owner"], vm, users["guest"], CONSOLE_ONLY)
    grant = give(users["owner"], Role.USER, vm)
    entry = Entry.objects.create(
        text="Pause web-07", who="owner", person_key=users["owner"].pk, kind="vm", key=str(vm.uuid)
    )
    tell("share", [users["owner"]], title="web-07 is yours", url=f"/vms/{vm.uuid}/")
    ssh_key = SshKey.objects.create(user=users["owner"], text="ssh-ed25519 AAAA me", fingerprint="SHA256:x")
    invitation, secret = invitations.make(users["administrator"], {"role": Role.USER}, days=7)
    offer = make_offer(users["administrator"], pool=pool, picture=b"RIFF")
    wish = ask(users["owner"], offer, group=group, pattern="db")
    lab_class = LabClass.objects.create(name="exam", group=group, version=offer.latest(), pattern="<user>")
    pupil = User.objects.create_user("pupil")
    seat = Seat.objects.create(lab_class=lab_class, user=pupil, request=ask(pupil, offer, pattern="exam-pupil"))
    Client().force_login(users["owner"])
    many = (
        host,
        other,
        new,
        pool,
        network,
        image,
        volume,
        upload,
        vm,
        job,
        migration,
        token,
        group,
        grant,
        entry,
        ssh_key,
        offer,
        wish,
        invitation,
        secret,
        snapshot,
        link,
        link_secret,
        lab_class,
        seat,
        WebSession.objects.get(user=users["owner"]),
    )
    return World(users, *many)


def off(world: World) -> Vm:
    Vm.objects.filter(pk=world.vm.pk).update(observed_state=VmState.OFF)
    world.vm.refresh_from_db()
    return world.vm


NOBODY = UUID(int=7)
