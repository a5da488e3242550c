"""Making VMs: what is refused and where it is said, what is written first, what is left after a failure."""

import json
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.test import Client
from django.urls import reverse

from access.models import User
from hosts.models import Host
from jobs import engine, secrets, work
from jobs.errors import Failed, Refused
from jobs.models import Job
from storage.models import Image, Pool
from tests.factories import GIB, make_host, make_network, make_vm
from virt import guests, pools
from virt.connection import connect
from vms import creation
from vms.models import MacAddress, Vm
from vms.operations.create import cpu_for
from vms.spec import FirstBoot, NewVms, NicWish, hostname_of, problems
from vms.states import VmState

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("here")]
MIB = 1024 * 1024
HOSTILE = [
    "a b",
    "a;rm -rf /",
    "<b>x</b>",
    "a'b",
    'a"b',
    "../../etc",
    "a/b",
    "x" * 300,
    "🦆",
    "a\nb",
    "",
    "-x",
    "12",
    "$(id)",
]
PASSWORD = "correct horse battery 9"


@pytest.fixture
def wish(pool: Pool) -> NewVms:
    """A blank disk on the simulated host: everything that libvirt's test driver can do."""
    return NewVms(
        name="web-07", pool=pool.pk, disk_bytes=8 * MIB, memory_bytes=256 * MIB, first_boot=FirstBoot(enabled=False)
    )


@pytest.fixture
def no_redis(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What would lie in Redis for ten minutes."""
    kept: dict[str, str] = {}

    def put(value: str) -> str:
        kept[f"ref{len(kept)}"] = value
        return f"ref{len(kept) - 1}"

    def take(reference: str) -> str:
        if reference not in kept:
            raise Failed("The password for this job is no longer kept.")
        return kept.pop(reference)

    monkeypatch.setattr(secrets, "put", put)
    monkeypatch.setattr(secrets, "take", take)
    return kept


def make(user: User, wish: NewVms) -> Job:
    job = creation.request(user, wish)
    work.run(job.pk)
    for child in Job.objects.filter(parent=job).order_by("pk"):
        work.run(child.pk)
    job.refresh_from_db()
    return job


def volumes_on(host: Host, pool: Pool) -> list[str]:
    with connect(host.target) as conn:
        return [volume.name for volume in pools.volumes(conn, pool.name)]


def test_it_works(operator: User, wish: NewVms, host: Host, pool: Pool) -> None:
    job = make(operator, wish)
    assert (job.state, job.error) == ("succeeded", "")
    vm = Vm.objects.get(name="web-07")
    assert job.target_key == str(vm.uuid)
    assert (vm.state, vm.host, vm.owner, vm.is_adopted, vm.job_id) == (VmState.RUNNING, host, operator, False, None)
    with connect(host.target) as conn:
        assert guests.state_of(conn, str(vm.uuid)) == "running"
    assert [name for name in volumes_on(host, pool) if name.startswith("web-07-")]
    assert any("vol-create-as" in line for line in job.commands)


def test_row_before_the_job_runs(operator: User, wish: NewVms, host: Host) -> None:
    creation.request(operator, wish)
    vm = Vm.objects.get()
    assert (vm.state, vm.host, vm.memory_bytes) == (VmState.CREATING, host, 256 * MIB)


def test_not_started(operator: User, wish: NewVms) -> None:
    wish.start = False
    make(operator, wish)
    assert Vm.objects.get().state == VmState.OFF


def test_several(operator: User, wish: NewVms, host: Host) -> None:
    make_vm(host, "lab-02")
    wish.name, wish.count = "lab", 3
    job = make(operator, wish)
    assert job.state == "succeeded"
    assert job.title == "Create 3 VMs: lab-01 to lab-04"
    assert set(Vm.objects.values_list("name", flat=True)) == {"lab-01", "lab-02", "lab-03", "lab-04"}
    assert job.children.count() == 3


def test_several_with_addresses(operator: User, wish: NewVms, pool: Pool) -> None:
    """The first address is given, the others follow it."""
    wish.count, wish.nics = 3, [NicWish(bridge="br0", address="10.0.0.5/24", gateway="10.0.0.1")]
    job = creation.request(operator, wish)
    addresses = [part["params"]["nics"][0]["address"] for part in job.params["parts"]]
    assert addresses == ["10.0.0.5/24", "10.0.0.6/24", "10.0.0.7/24"]


def test_lab_user_may_not(lab_user: User, wish: NewVms) -> None:
    with pytest.raises(PermissionDenied):
        creation.request(lab_user, wish)
    assert not Vm.objects.exists()


class TestNothingHalfMade:
    def test_disk_that_cannot_be_made(self, operator: User, wish: NewVms, host: Host, pool: Pool) -> None:
        """The pool was stopped behind our back: the name and the MAC are free again."""
        wish.nics = [NicWish(bridge="br0")]
        with connect(host.target) as conn:
            pools.stop(conn, pool.name)
        job = make(operator, wish)
        with connect(host.target) as conn:  # the next test may find the same simulated host
            pools.start(conn, pool.name)
        assert job.state == "failed"
        assert not Vm.objects.exists()
        assert not MacAddress.objects.exists()

    def test_start_that_fails(
        self, operator: User, wish: NewVms, host: Host, pool: Pool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Defined already, with its disk: both go again."""
        before = volumes_on(host, pool)

        def start(conn: Any, uuid: str) -> None:
            guests.suspend(conn, uuid)  # libvirt refuses: it does not run

        monkeypatch.setattr("vms.operations.create.guests.start", start)
        job = make(operator, wish)
        assert job.state == "failed"
        assert job.technical
        assert not Vm.objects.exists()
        assert volumes_on(host, pool) == before
        with connect(host.target) as conn:
            assert guests.state_of(conn, job.target_key) is None
        assert job.lines.filter(text="Nothing was left behind.").exists()

    def test_host_that_died_meanwhile(self, operator: User, wish: NewVms, host: Host) -> None:
        job = creation.request(operator, wish)
        Host.objects.filter(pk=host.pk).update(observed_state="unreachable")
        work.run(job.pk)
        job.refresh_from_db()
        assert (job.state, job.error) == ("failed", "vmhost1 does not answer.")
        assert not Vm.objects.exists()

    def test_cancelled_before_it_began(self, operator: User, wish: NewVms) -> None:
        job = creation.request(operator, wish)
        engine.cancel(job, operator)
        assert not Vm.objects.exists()

    def test_several_cancelled_before_they_began(self, operator: User, wish: NewVms) -> None:
        wish.count = 3
        job = creation.request(operator, wish)
        engine.cancel(job, operator)
        assert not Vm.objects.exists()

    def test_worker_killed_after_the_disk(self, operator: User, wish: NewVms, host: Host, pool: Pool) -> None:
        """The second run takes the disk of the first."""
        job = creation.request(operator, wish)
        vm = Vm.objects.get()
        name = f"web-07-{str(vm.uuid)[:8]}.qcow2"
        with connect(host.target) as conn:
            from virt.xml.volume import VolumeSpec

            pools.create_volume(conn, pool.name, VolumeSpec(name, 8 * MIB, format="qcow2"))
        Job.objects.filter(pk=job.pk).update(attempt=1)
        work.run(job.pk)
        job.refresh_from_db()
        assert (job.state, job.error) == ("succeeded", "")
        assert volumes_on(host, pool).count(name) == 1

    def test_worker_killed_and_the_host_in_maintenance_since(self, operator: User, wish: NewVms, host: Host) -> None:
        """What was begun is finished: refusing it now would leave its disk and its row behind."""
        job = creation.request(operator, wish)
        Host.objects.filter(pk=host.pk).update(maintenance=True)
        Job.objects.filter(pk=job.pk).update(attempt=1)
        work.run(job.pk)
        job.refresh_from_db()
        assert (job.state, job.error) == ("succeeded", "")

    def test_worker_killed_after_the_start(self, operator: User, wish: NewVms) -> None:
        job = make(operator, wish)
        Vm.objects.update(observed_state=VmState.CREATING)
        Job.objects.filter(pk=job.pk).update(state="queued", attempt=1)
        work.run(job.pk)
        job.refresh_from_db()
        assert job.state == "succeeded"
        assert Vm.objects.get().state == VmState.RUNNING


class TestRefusals:
    """Each says its field, and nothing is written."""

    @pytest.mark.parametrize("name", HOSTILE)
    def test_names(self, operator: User, wish: NewVms, name: str) -> None:
        wish.name = name
        self.refused(operator, wish, "name")

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("count", 0),
            ("count", -1),
            ("count", 10**18),
            ("memory_bytes", 0),
            ("memory_bytes", -1),
            ("memory_bytes", 10**18),
            ("disk_bytes", 0),
            ("disk_bytes", -1),
            ("disk_bytes", 10**18),
            ("vcpus", 0),
            ("vcpus", 10**18),
            ("image", 10**9),
            ("image", "nosuch"),
            ("iso", 10**9),
            ("pool", None),
            ("pool", 10**9),
            ("host", 10**9),
            ("owner", 10**9),
            ("firmware", "coreboot"),
            ("cpu", "z80"),
            ("title", "a\nb"),
            ("tags", ["a,b"]),
        ],
    )
    def test_values(self, operator: User, wish: NewVms, field: str, value: Any) -> None:
        setattr(wish, field, value)
        self.refused(operator, wish, field)

    def test_duplicate_name(self, operator: User, wish: NewVms, host: Host) -> None:
        make_vm(host, "web-07")
        with pytest.raises(Refused, match="already a VM called web-07"):
            creation.request(operator, wish)

    @pytest.mark.parametrize(
        ("nic", "field"),
        [
            ({"network": "nosuch"}, "source"),
            ({"bridge": "br9"}, "source"),
            ({"bridge": "br0; reboot"}, "source"),
            ({}, "source"),
            ({"bridge": "br0", "mac": "52:54:00:00:00:01"}, "mac"),
            ({"bridge": "br0", "mac": "nonsense"}, "mac"),
            ({"bridge": "br0", "mac": "01:00:00:00:00:00"}, "mac"),
            ({"bridge": "br0", "address": "10.0.0.5"}, "address"),
            ({"bridge": "br0", "address": "10.0.0.0/24"}, "address"),
            ({"bridge": "br0", "address": "10.0.0.255/24"}, "address"),
            ({"bridge": "br0", "address": "300.0.0.1/24"}, "address"),
            ({"bridge": "br0", "address": "10.0.0.5/24", "gateway": "10.9.9.1"}, "gateway"),
            ({"bridge": "br0", "address": "10.0.0.5/24", "gateway": "10.0.0.5"}, "gateway"),
            ({"bridge": "br0", "gateway": "10.0.0.1"}, "gateway"),
            ({"bridge": "br0", "dns": ["one.one"]}, "dns"),
        ],
    )
    def test_interfaces(self, operator: User, wish: NewVms, host: Host, nic: dict[str, Any], field: str) -> None:
        MacAddress.objects.create(mac="52:54:00:00:00:01", vm=make_vm(host, "db-01"))
        wish.nics = [NicWish(bridge="br0"), NicWish(**nic)]
        self.refused(operator, wish, f"nics-1-{field}")

    def test_the_same_mac_twice(self, operator: User, wish: NewVms) -> None:
        wish.nics = [NicWish(bridge="br0", mac="52:54:00:AA:00:01"), NicWish(bridge="br0", mac="52:54:00:aa:00:01")]
        self.refused(operator, wish, "nics-1-mac")

    @pytest.mark.parametrize(
        ("boot", "field"),
        [
            ({"user": "Root User"}, "user"),
            ({"user": "$(id)"}, "user"),
            ({"ssh_keys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}, "ssh_keys"),
            ({"ssh_keys": ["ssh-ed25519 AAAA"]}, "ssh_keys"),
            ({"hostname": "a_b"}, "hostname"),
            ({"domain": "-x.org"}, "domain"),
            ({"packages": ["vim", "a;b"]}, "packages"),
            ({"user_data": "nonsense"}, "user_data"),
            ({"user_data": "#cloud-config\na: [1"}, "user_data"),
            ({"user_data": "#cloud-config\n- a\n"}, "user_data"),
            ({"password_hash": "plain"}, "password"),
        ],
    )
    def test_first_boot(self, operator: User, wish: NewVms, boot: dict[str, Any], field: str) -> None:
        wish.first_boot = FirstBoot(**boot)
        self.refused(operator, wish, field)

    def test_disk_smaller_than_its_image(self, operator: User, wish: NewVms, host: Host, pool: Pool) -> None:
        image = Image.objects.create(
            name="debian",
            version="1",
            pool=pool,
            host=host,
            volume_name="x",
            path="/x",
            state="ready",
            format="qcow2",
            virtual_size_bytes=2 * GIB,
        )
        wish.image, wish.disk_bytes = image.pk, GIB
        self.refused(operator, wish, "disk_bytes")

    def test_host_in_maintenance(self, operator: User, wish: NewVms, host: Host) -> None:
        Host.objects.filter(pk=host.pk).update(maintenance=True)
        wish.host = host.pk
        with pytest.raises(Refused, match="maintenance") as refused:
            creation.request(operator, wish)
        assert refused.value.field == "host"

    def test_unknown_settings(self) -> None:
        for data in ({"rm": 1}, {"nics": [{"x": 1}]}, {"first_boot": {"password": "x"}}):
            with pytest.raises(Refused):
                NewVms.read(data)

    def refused(self, user: User, wish: NewVms, field: str) -> None:
        assert field in problems(wish)
        with pytest.raises(Refused) as refused:
            creation.request(user, wish)
        assert refused.value.field == field
        assert not Vm.objects.filter(is_adopted=False).exists()
        assert not Job.objects.exists()


def test_macs_are_random_and_unique(operator: User, wish: NewVms) -> None:
    wish.count, wish.nics = 20, [NicWish(bridge="br0"), NicWish(bridge="br0")]
    creation.request(operator, wish)
    macs = set(MacAddress.objects.values_list("mac", flat=True))
    assert len(macs) == 40
    assert all(mac.startswith("52:54:00:") for mac in macs)


def test_secrets_reach_no_row(operator: User, wish: NewVms, no_redis: dict[str, str]) -> None:
    """Neither the hash nor the user-data is in the job's or the VM's row."""
    from virt.passwords import hash_password

    hashed = hash_password(PASSWORD)
    wish.first_boot = FirstBoot(password_hash=hashed, user_data="#cloud-config\ntoken: s3cr3t\n", user="ana")
    job = creation.request(operator, wish)
    assert json.loads(no_redis[job.params["secret"]])["password_hash"] == hashed
    rows = json.dumps([job.params, Vm.objects.get().first_boot])
    for word in (hashed, "s3cr3t", PASSWORD):
        assert word not in rows
    assert job.params["first_boot"]["has_password"] is True


def test_secret_that_is_gone(operator: User, wish: NewVms, host: Host, pool: Pool, no_redis: dict[str, str]) -> None:
    """The job waited too long: it fails with a word to the person, and cleans up."""
    before = volumes_on(host, pool)
    wish.first_boot = FirstBoot(user="ana", user_data="#cloud-config\n")
    job = creation.request(operator, wish)
    no_redis.clear()
    work.run(job.pk)
    job.refresh_from_db()
    assert job.state == "failed"
    assert "no longer kept" in job.error
    assert not Vm.objects.exists()
    assert volumes_on(host, pool) == before


@pytest.mark.parametrize(
    ("name", "hostname"),
    [
        ("web-07", "web-07"),
        ("Web_07.lab", "web-07-lab"),
        ("a" * 63, "a" * 63),
        ("_._", "vm"),
        ("x" * 62 + "_y", "x" * 62),
    ],
)
def test_hostname_from_a_name(name: str, hostname: str) -> None:
    assert hostname_of(name) == hostname


def test_cpu_that_moves_everywhere(db: None) -> None:
    """Without a computed common CPU: a model every QEMU has, or the host's own with KVM."""
    assert cpu_for("common", "qemu", "x86_64").model == "qemu64"
    assert cpu_for("common", "kvm", "x86_64").mode == "host-model"
    assert cpu_for("host-passthrough", "qemu", "x86_64").mode == "maximum"
    assert cpu_for("host-passthrough", "kvm", "x86_64").mode == "host-passthrough"


class TestPage:
    @pytest.fixture
    def form(self, pool: Pool, host: Host) -> dict[str, Any]:
        make_network("default", host)
        return {
            "name": "web-07",
            "count": "1",
            "pool": str(pool.pk),
            "disk_bytes": "8 MiB",
            "vcpus": "1",
            "memory_bytes": "256 MiB",
            "nics-0-source": "network:default",
        }

    def post(self, client: Client, form: dict[str, Any], url: str = "vms:create") -> Any:
        return client.post(reverse(url), form)

    def test_it_works(self, admin_client: Client, form: dict[str, Any]) -> None:
        page = admin_client.get(reverse("vms:create"))
        assert page.status_code == 200
        answer = self.post(admin_client, form)
        vm = Vm.objects.get()
        assert (answer.status_code, answer.headers["Location"]) == (302, vm.get_absolute_url())
        job = Job.objects.get()
        assert (job.operation, job.params["memory_bytes"], job.params["nics"][0]["network"]) == (
            "vms.create",
            256 * MIB,
            "default",
        )

    def test_first_boot(self, admin_client: Client, form: dict[str, Any], no_redis: dict[str, str]) -> None:
        more = {"first_boot": "on", "user": "ana", "password": PASSWORD, "packages": "vim, htop git"}
        answer = self.post(admin_client, {**form, **more})
        assert answer.status_code == 302
        boot = Job.objects.get().params["first_boot"]
        assert (boot["user"], boot["packages"], boot["has_password"]) == ("ana", ["vim", "htop", "git"], True)
        assert "$6$" in no_redis["ref0"]

    @pytest.mark.parametrize(
        ("field", "value", "says"),
        [
            ("name", "a b", "Use letters"),
            ("name", "", "required"),
            ("memory_bytes", "lots", "Write a size"),
            ("memory_bytes", "0", "Memory must be"),
            ("memory_bytes", "9" * 19 + " TiB", "too large"),
            ("disk_bytes", "-5 GiB", "Write a size"),
            ("vcpus", "99999999999999999999", "less than or equal"),
            ("nics-0-address", "nonsense", "10.0.0.5/24"),
            ("nics-0-mac", "zz", "not a MAC address"),
        ],
    )
    def test_errors_beside_the_field(
        self, admin_client: Client, form: dict[str, Any], field: str, value: str, says: str
    ) -> None:
        answer = self.post(admin_client, {**form, field: value})
        assert answer.status_code == 422
        text = answer.content.decode()
        place = text.index(f'id="field_{field}"')
        assert says in text[place : place + 1500]
        assert not Vm.objects.exists()

    def test_bad_user_data(self, admin_client: Client, form: dict[str, Any]) -> None:
        answer = self.post(admin_client, {**form, "first_boot": "on", "user_data": "#cloud-config\na: [1"})
        assert answer.status_code == 422
        assert "Line" in answer.content.decode()

    def test_password_never_comes_back(self, admin_client: Client, form: dict[str, Any]) -> None:
        answer = self.post(admin_client, {**form, "name": "a b", "first_boot": "on", "password": PASSWORD})
        text = answer.content.decode()
        assert PASSWORD not in text
        assert "$6$" not in text

    def test_preview(self, admin_client: Client, form: dict[str, Any]) -> None:
        more = {"first_boot": "on", "user": "ana", "password": PASSWORD, "domain": "lab.org"}
        text = self.post(admin_client, {**form, **more}, "vms:preview").content.decode()
        assert "web-07.lab.org" in text
        assert "(hash of the password)" in text
        assert PASSWORD not in text

    def test_preview_says_what_is_wrong(self, admin_client: Client, form: dict[str, Any]) -> None:
        more = {"first_boot": "on", "user_data": "nonsense"}
        assert "begin with #cloud-config" in self.post(admin_client, {**form, **more}, "vms:preview").content.decode()

    def test_place(self, admin_client: Client, form: dict[str, Any]) -> None:
        make_host("vmhost2")
        text = self.post(admin_client, form, "vms:placement").content.decode()
        assert "<strong>vmhost1</strong> is the best place" in text
        assert "The pool default-pool is not active there." in text

    def test_place_of_an_empty_form(self, admin_client: Client, host: Host) -> None:
        assert self.post(admin_client, {}, "vms:placement").status_code == 200

    def test_lab_user(self, client: Client, lab_user: User) -> None:
        client.force_login(lab_user)
        assert client.get(reverse("vms:create")).status_code == 404
        assert client.post(reverse("vms:create"), {}).status_code == 404

    def test_without_hosts_it_says_what_to_do(self, admin_client: Client) -> None:
        assert "No host yet" in admin_client.get(reverse("vms:create")).content.decode()

    def test_queries_do_not_grow_with_hosts(
        self, admin_client: Client, form: dict[str, Any], django_assert_max_num_queries: Any
    ) -> None:
        for number in range(30):
            make_host(f"node{number:02}", maintenance=number == 7)
        with django_assert_max_num_queries(20):
            text = admin_client.get(reverse("vms:create")).content.decode()
        assert ">node29 (12\xa0GiB free)</option>" in text
        assert ">node07 (in maintenance)</option>" in text

    def test_last_first_boot_is_offered_again(self, admin_client: Client, admin: User, form: dict[str, Any]) -> None:
        boot = {"user": "ana", "ssh_keys": ["ssh-ed25519 AAAA me"], "domain": "lab.org"}
        Vm.objects.create(
            uuid="00000000-0000-4000-8000-000000000001", name="x", owner=admin, is_adopted=False, first_boot=boot
        )
        assert "ssh-ed25519 AAAA me" in admin_client.get(reverse("vms:create")).content.decode()


def test_usual_network_is_one_that_works(db: None) -> None:
    """A network that is active somewhere, else a bridge, else none."""
    from vms.create_form import source_choices, usual_source

    assert usual_source(source_choices()) == ""
    host = make_host("vmhost1")
    network = make_network("default", host)
    assert usual_source(source_choices()) == "network:default"
    network.presences.update(is_active=False)
    assert usual_source(source_choices()) == "bridge:br0"
    assert ("network:default", "default (not active anywhere)") in source_choices()[1][1]
