"""Hosts for real: added with a password, looked over, trusting each other, with networks, changed, gone."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.test import Client

from access.models import User
from hosts import cpu, onboarding
from hosts.models import ClusterCpu, Host, Network
from hosts.operations.networks import ChangeNetwork
from hosts.operations.onboarding import ProbeHost
from hosts.operations.preflight import PreflightHost
from hosts.operations.trust import AUTHORIZED, KNOWN, MARK, withdraw
from hosts.states import SetupStep
from jobs import secrets, work
from jobs.models import Job, JobLine
from jobs.operations import by_name
from jobs.states import State
from tests.hosts.conftest import Do
from tests.labkit import Lab
from virt import connection, ssh
from virt.connection import close_idle, connect
from virt.errors import HostUnreachable

pytestmark = [pytest.mark.lab, pytest.mark.django_db(transaction=True)]
HTMX = {"HX-Request": "true"}


@pytest.fixture
def redis(tmp_path: Path, settings: Any) -> Iterator[None]:
    """A Redis of this test's own: passwords wait there between form and worker."""
    path = tmp_path / "redis.sock"
    words = ["redis-server", "--unixsocket", str(path), "--port", "0", "--save", "", "--loglevel", "warning"]
    process = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL)
    settings.REDIS_URL = f"unix://{path}"
    until = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    yield
    process.terminate()
    process.wait()


@pytest.fixture
def run_all(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Job]:
    """Runs what is queued until nothing is; the job that ended last."""
    monkeypatch.setattr(work, "_start_heart", lambda: None)

    def run() -> Job:
        while (job := Job.objects.filter(state=State.QUEUED).order_by("pk").first()) is not None:
            work.run(job.pk)
        return Job.objects.order_by("-finished_at")[0]

    return run


@pytest.fixture
def stranger(lab: Lab) -> Iterator[str]:
    """vmhost1 as it was before Drover: its authorized_keys without our key."""
    blob = ssh.ensure_key(Path(django_settings.SSH_DIR)).split()[1]
    before = lab.ssh("vmhost1", "cat .ssh/authorized_keys")
    lab.ssh("vmhost1", f"grep -vF {blob} .ssh/authorized_keys > k; cat k > .ssh/authorized_keys; rm k")
    yield "vmhost1"
    lab.ssh("vmhost1", f"cat > .ssh/authorized_keys << 'END'\n{before}END")


def test_it_works(
    admin_client: Client, lab: Lab, stranger: str, redis: None, run_all: Callable[[], Job], tmp_path: Path
) -> None:
    """The whole way a person goes: address, fingerprint, wrong password, right password, checks, in."""
    password = lab.password(stranger)
    admin_client.post("/hosts/add", {"address": lab.address(stranger), "name": stranger})
    run_all()
    host = Host.objects.get()
    assert (host.offered_keys, host.host_keys) != ([], [])
    shown = [key.fingerprint for key in host.offered]
    truth = lab.ssh(stranger, "for k in /etc/ssh/ssh_host_*_key.pub; do ssh-keygen -lf $k; done")
    assert all(fingerprint in truth for fingerprint in shown)

    admin_client.post(f"/hosts/{host.pk}/setup/pin", {"fingerprint": shown})
    assert run_all().result == {"let_in": False}
    host.refresh_from_db()
    assert host.setup_step == SetupStep.LOGIN

    admin_client.post(f"/hosts/{host.pk}/setup/install-key", {"password": "not the password"}, headers=HTMX)
    job = run_all()
    assert (job.operation, job.state) == ("hosts.install_key", State.FAILED)
    assert "does not accept this password" in job.error

    admin_client.post(f"/hosts/{host.pk}/setup/install-key", {"password": password}, headers=HTMX)
    job = run_all()
    assert (job.operation, job.state, job.result["problems"]) == ("hosts.preflight", State.SUCCEEDED, 0), job.error
    host.refresh_from_db()
    assert host.setup_step == SetupStep.CHECK
    levels = {check["key"]: check["level"] for check in host.preflight}
    assert {levels[key] for key in ("ssh", "tunnel", "libvirt", "qemu", "memory", "uuid", "names", "bridges")} == {"ok"}
    assert host.bridges == ["br0"]
    assert host.uuid

    admin_client.post(f"/hosts/{host.pk}/setup/accept")
    run_all()
    host.refresh_from_db()
    assert (host.is_managed, host.setup_step) == (True, "")

    rows = json.dumps([list(Job.objects.values()), list(JobLine.objects.values())], default=str)
    assert password not in rows
    assert "not the password" not in rows


def test_a_key_added_by_hand_is_enough(lab: Lab, stranger: str, do: Do, admin: User) -> None:
    keys = [[key.kind, key.blob] for key in ssh.scan_keys(lab.address(stranger))]
    host = Host.objects.create(
        name=stranger, address=lab.address(stranger), host_keys=keys, is_managed=False, setup_step=SetupStep.LOGIN,
        public_key=ssh.ensure_key(Path(django_settings.SSH_DIR)),
    )  # fmt: skip
    job = do(by_name("hosts.try_login")(host), admin)
    assert (job.state, "does not accept Drover's key yet" in job.error) == (State.FAILED, True)
    lab.ssh(stranger, host.key_command)
    assert do(by_name("hosts.try_login")(host), admin).state == State.SUCCEEDED
    assert Job.objects.filter(operation="hosts.preflight").exists()


def test_a_password_used_up_by_an_interrupted_run(
    lab_hosts: list[Host], redis: None, run_all: Callable[[], Job]
) -> None:
    """The worker died after the key was installed: the second run sees that it is let in, and goes on."""
    host = lab_hosts[0]
    job = Job.objects.create(
        operation="hosts.install_key", title="x", target_kind="host", target_key=str(host.pk), attempt=1,
        params={"secret": "gone"},
    )  # fmt: skip
    run_all()
    job.refresh_from_db()
    assert job.state == State.SUCCEEDED, job.error
    with pytest.raises(Exception, match="no longer kept"):
        secrets.take("gone")


def test_the_same_machine_twice(lab_hosts: list[Host], lab: Lab, do: Do) -> None:
    do(by_name("hosts.refresh")(lab_hosts[0]))
    twin = Host.objects.create(
        name="twin", address=lab_hosts[0].address, host_keys=lab_hosts[0].host_keys, is_managed=False,
        setup_step="check",
    )  # fmt: skip
    assert do(PreflightHost(twin)).result["problems"] == 1
    twin.refresh_from_db()
    problem = next(check for check in twin.preflight if check["level"] == "problem")
    assert (problem["key"], "vmhost1" in problem["text"]) == ("uuid", True)


def test_a_host_whose_network_is_cut(lab: Lab, lab_hosts: list[Host], do: Do) -> None:
    host = lab_hosts[2]
    ssh.forget(host.target)
    lab.run("fault", "cut", host.name)
    try:
        began = time.monotonic()
        probe = do(ProbeHost(host))
        assert (probe.state, "Nothing answers SSH" in probe.error) == (State.FAILED, True)
        look = do(PreflightHost(host))
        assert time.monotonic() - began < 60
        assert (look.state, look.result["problems"] >= 1) == (State.SUCCEEDED, True)
        host.refresh_from_db()
        assert host.preflight[0]["key"] == "ssh"
        assert host.preflight[0]["level"] == "problem"
    finally:
        lab.run("fault", "heal", host.name)


def test_libvirt_does_not_run(lab: Lab, lab_hosts: list[Host], do: Do) -> None:
    host = lab_hosts[2]
    close_idle(older_than_s=-1)
    lab.ssh(host.name, "systemctl stop libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd")
    try:
        do(PreflightHost(host))
        host.refresh_from_db()
        check = next(check for check in host.preflight if check["key"] == "libvirt")
        assert (check["level"], check["text"]) == ("problem", "libvirt does not run on the host.")
    finally:
        lab.ssh(host.name, "systemctl start libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket libvirtd")


def test_libvirt_hangs(lab: Lab, lab_hosts: list[Host], do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes calls and answers none: the job says so in time, the next one at once, and all is well afterwards."""
    monkeypatch.setattr(connection, "OPEN_WITHIN_S", 3.0)
    host = lab_hosts[2]
    close_idle(older_than_s=-1)
    lab.run("fault", "libvirtd", "stop", host.name)
    try:
        do(PreflightHost(host))
        host.refresh_from_db()
        check = next(check for check in host.preflight if check["key"] == "libvirt")
        assert (check["level"], "hangs" in check["text"]) == ("problem", True)
        began = time.monotonic()
        with pytest.raises(HostUnreachable, match="hangs"), connect(host.target):
            pass
        assert time.monotonic() - began < 3, "it is asked again although it hangs"
    finally:
        lab.run("fault", "libvirtd", "cont", host.name)
    until = time.monotonic() + 20
    while True:
        try:
            with connect(host.target) as conn:
                assert conn.getLibVersion()
            break
        except HostUnreachable:
            assert time.monotonic() < until
            time.sleep(0.2)


def test_a_key_file_without_a_last_line_end(lab: Lab, stranger: str, do: Do) -> None:
    """The key of somebody else that ends the file stays whole."""
    lab.ssh(stranger, "printf 'ssh-ed25519 AAAA somebody' >> .ssh/authorized_keys")
    keys = tuple((key.kind, key.blob) for key in ssh.scan_keys(lab.address(stranger)))
    host = Host(pk=77, name=stranger, address=lab.address(stranger), host_keys=keys)
    ssh.install_key(host.target, lab.password(stranger))
    ssh.install_key(host.target, lab.password(stranger))
    lines = lab.ssh(stranger, "cat .ssh/authorized_keys").splitlines()
    assert "ssh-ed25519 AAAA somebody" in lines
    assert lines.count(ssh.ensure_key(Path(django_settings.SSH_DIR))) == 1
    ssh.forget(host.target)


def test_a_changed_host_key(
    lab: Lab, lab_hosts: list[Host], do: Do, admin_client: Client, run_all: Callable[[], Job]
) -> None:
    """Refused until a person has compared and pinned the new key; both are shown."""
    host = lab_hosts[2]
    ssh.run(host.target, ["true"])
    ssh.forget(host.target)
    lab.ssh(host.name, "mkdir -p /root/keys && cp -a /etc/ssh/ssh_host_*_key* /root/keys/")
    try:
        lab.ssh(
            host.name,
            "rm /etc/ssh/ssh_host_*_key*; ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/ssh_host_ed25519_key;"
            " systemctl restart ssh",
        )
        old = host.pinned_keys[0].fingerprint
        look = do(PreflightHost(host))
        assert look.result["problems"] >= 1
        host.refresh_from_db()
        assert "another SSH key" in host.preflight[0]["text"]
        admin_client.post(f"/hosts/{host.pk}/do/probe")
        run_all()
        host.refresh_from_db()
        assert host.shows_other_keys
        new = host.offered[0].fingerprint
        dialog = admin_client.get(f"/hosts/{host.pk}/repin").content.decode()
        assert old in dialog
        assert new in dialog
        assert admin_client.post(f"/hosts/{host.pk}/repin", {"fingerprint": old}, headers=HTMX).status_code == 422
        admin_client.post(
            f"/hosts/{host.pk}/repin", {"fingerprint": [k.fingerprint for k in host.offered]}, headers=HTMX
        )
        assert run_all().state == State.SUCCEEDED
        host.refresh_from_db()
        assert ssh.run(host.target, ["hostname"]).strip() == host.name
    finally:
        lab.ssh(host.name, "cp -a /root/keys/* /etc/ssh/ && rm -r /root/keys && systemctl restart ssh")
        ssh.forget(host.target)


def test_hosts_trust_each_other(lab: Lab, lab_hosts: list[Host], do: Do, admin: User) -> None:
    names = [host.name for host in lab_hosts]
    for host in lab_hosts:
        do(by_name("hosts.refresh")(host))
        lab.ssh(host.name, f"sed -i '/{MARK}$/d' {AUTHORIZED}; touch {KNOWN}; sed -i '/{MARK}$/d' {KNOWN}")
        lab.ssh(host.name, f"echo '# a line of somebody else' >> {AUTHORIZED}")
    before = {name: lab.ssh(name, f"cat {AUTHORIZED}") for name in names}
    try:
        for round_ in (1, 2):  # the second time nothing is added
            job = do(by_name("hosts.trust")(), admin)
            assert job.state == State.SUCCEEDED, (job.error, job.technical)
            assert job.result["pairs"] == 6
            for name in names:
                now = lab.ssh(name, f"cat {AUTHORIZED}")
                assert now.startswith(before[name]), f"round {round_}"
                assert now.count(MARK) == 2
                assert lab.ssh(name, f"stat -c %a {AUTHORIZED}").strip() == "600"
        hosts = list(Host.objects.order_by("pk"))
        assert all(one.trusts(two) for one in hosts for two in hosts if one != two)
        uri = hosts[1].target.peer_uri
        assert lab.ssh("vmhost1", f"virsh -c '{uri}' hostname").strip() == "vmhost2"
        assert withdraw(hosts[0], hosts[1:]) == {}
        assert lab.ssh("vmhost2", f"cat {AUTHORIZED}").count(MARK) == 1
        look = do(PreflightHost(hosts[0]))
        assert look.result["problems"] == 0
        hosts[0].refresh_from_db()
        hosts[1].refresh_from_db()
        assert not hosts[0].trusts(hosts[1])
        assert not hosts[1].trusts(hosts[0])  # both ways were tried
        peers = next(check for check in hosts[0].preflight if check["key"] == "peers")
        assert "does not let vmhost1 in" in peers["text"]
    finally:
        for name in names:
            lab.ssh(name, f"sed -i '/a line of somebody else/d' {AUTHORIZED}")
    assert do(by_name("hosts.trust")(), admin).state == State.SUCCEEDED


def test_trust_in_a_circle_of_its_own(lab: Lab, lab_hosts: list[Host], do: Do, admin: User) -> None:
    one, two, three = lab_hosts
    here = Host.objects.create(name="here", transport="local", trusted_hosts=[three.pk])
    Host.objects.filter(pk=one.pk).update(trusted_hosts=[three.pk])
    own = Path("/root/.ssh/authorized_keys")
    before = own.read_text() if own.exists() else ""
    lab.ssh("vmhost3", f"sed -i '/{MARK}$/d' {AUTHORIZED}")
    job = do(by_name("hosts.trust")(None, {"hosts": [one.pk, two.pk, here.pk]}), admin)
    assert job.state == State.SUCCEEDED, (job.error, job.technical)
    assert job.result["pairs"] == 2
    assert MARK not in lab.ssh("vmhost3", f"cat {AUTHORIZED}")
    assert (own.read_text() if own.exists() else "") == before
    one.refresh_from_db()
    assert one.trusted_hosts == [two.pk, three.pk]


def test_trust_names_the_host_that_does_not_answer(lab: Lab, lab_hosts: list[Host], do: Do, admin: User) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        onboarding.register("absent", address="127.0.0.1", port=nobody.getsockname()[1])
        job = do(by_name("hosts.trust")(), admin)
    assert job.state == State.FAILED
    assert "absent: The host does not answer." in job.error
    one, two = Host.objects.get(name="vmhost1"), Host.objects.get(name="vmhost2")
    assert one.trusts(two)


def test_a_network_on_all_hosts_and_what_one_of_them_refuses(
    lab: Lab, lab_hosts: list[Host], do: Do, admin: User
) -> None:
    """vmhost3 has the addresses already: nothing is left there, the others have it; later it works there too."""
    network = Network.objects.create(name="drovertest", mode="nat", spec={"cidr": "10.123.0.1/24", "autostart": True})
    lab.ssh(
        "vmhost3", "ip link add dummy7 type bridge && ip address add 10.123.0.9/24 dev dummy7 && ip link set dummy7 up"
    )
    try:
        job = do(ChangeNetwork(network, {"verb": "define", "hosts": []}), admin)
        assert job.state == State.FAILED
        assert {name: result == "succeeded" for name, result in job.result["hosts"].items()} == {
            "vmhost1": True, "vmhost2": True, "vmhost3": False,
        }  # fmt: skip
        assert "in use" in job.result["hosts"]["vmhost3"]
        assert "drovertest" not in lab.ssh("vmhost3", "virsh net-list --all --name")
        lab.ssh("vmhost3", "ip link delete dummy7")
        assert (
            do(ChangeNetwork(network, {"verb": "define", "hosts": [lab_hosts[2].pk]}), admin).state == State.SUCCEEDED
        )
        assert network.presences.filter(is_active=True, autostart=True).count() == 3
    finally:
        lab.ssh("vmhost3", "ip link delete dummy7 2>/dev/null; true")
        assert do(ChangeNetwork(network, {"verb": "remove"}), admin).state == State.SUCCEEDED
    for host in lab_hosts:
        assert "drovertest" not in lab.ssh(host.name, "virsh net-list --all --name")


def test_the_common_cpu_starts_a_vm(lab_hosts: list[Host], do: Do, run_all: Callable[[], Job]) -> None:
    """It is computed by itself once the facts of the hosts are known."""
    for host in lab_hosts:
        do(by_name("hosts.refresh")(host))
    job = run_all()
    assert (job.operation, job.state) == ("hosts.common_cpu", State.SUCCEEDED), job.error
    assert not cpu.is_stale()
    row = ClusterCpu.objects.get()
    assert sorted(row.hosts) == sorted(str(host.pk) for host in lab_hosts)
    common = cpu.common_cpu(row.domain_type)
    assert common is not None
    xml = f"""<domain type='{row.domain_type}'><name>cputest</name><memory unit='MiB'>64</memory>
      <os><type arch='x86_64' machine='q35'>hvm</type></os>{common["xml"]}<devices/></domain>"""
    for host in Host.objects.all():
        with connect(host.target) as conn:
            domain = conn.createXML(xml, 1)  # paused; libvirt refuses a CPU that QEMU can't give
            domain.destroy()


def test_removing_takes_our_keys_away(lab: Lab, lab_hosts: list[Host], do: Do, admin: User) -> None:
    public = ssh.ensure_key(Path(django_settings.SSH_DIR))
    host, config = lab_hosts[2], lab_hosts[2].target.ssh_config
    ssh.run(host.target, ["true"])
    assert config.exists()
    try:
        job = do(by_name("hosts.remove")(host, {"remove_keys": True}), admin)
        assert job.state == State.SUCCEEDED, job.error
        assert public not in lab.ssh(host.name, f"cat {AUTHORIZED}")
        assert not config.exists()
        assert not list(job.lines.filter(level="warning"))
    finally:
        lab.ssh(host.name, f"grep -qxF '{public}' {AUTHORIZED} || echo '{public}' >> {AUTHORIZED}")
