"""The hosts are real ones, each its own, and open as Drover needs them."""

import os
import subprocess
import time

import pytest

from lab import cluster, config, network, state
from lab.config import Lab
from tests.lab.tools import on

pytestmark = pytest.mark.lab


def test_every_host_is_itself(lab: Lab) -> None:
    vm_hosts = lab.kind(config.CONTAINER)
    names = [on(lab, host, "hostname").strip() for host in vm_hosts]
    uuids = {on(lab, host, "virsh capabilities | grep -m 1 -o '<uuid>.*</uuid>'") for host in vm_hosts}
    assert names == ["vmhost1", "vmhost2", "vmhost3"]
    assert len(uuids) == len(vm_hosts)


def test_systemd_has_nothing_to_complain_about(lab: Lab) -> None:
    for host in (*lab.kind(config.CONTAINER), *lab.kind(config.STORAGE)):
        assert on(lab, host, "systemctl is-system-running --wait || systemctl --failed").strip() == "running"


def test_hosts_know_each_other_by_name(lab: Lab) -> None:
    assert "1 received" in on(lab, lab.host("vmhost1"), "ping -c 1 -W 2 vmhost3")


def test_root_gets_in_by_password(lab: Lab, tmp_path: object) -> None:
    host = lab.host("vmhost1")
    ask = f"{tmp_path}/ask"
    with open(ask, "w") as file:
        file.write('#!/bin/sh\necho "$LAB_PASSWORD"\n')
    os.chmod(ask, 0o700)
    options = ["-o", f"UserKnownHostsFile={lab.dir / 'known_hosts'}", "-o", "PubkeyAuthentication=no"]
    password = state.about(lab, host)["password"]
    env = {**os.environ, "SSH_ASKPASS": ask, "SSH_ASKPASS_REQUIRE": "force", "LAB_PASSWORD": password}
    argv = ["ssh", *options, f"root@{lab.address(host)}", "hostname"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=20, check=False)
    assert done.stdout == "vmhost1\n"


def test_only_the_labs_key_is_let_in(lab: Lab) -> None:
    # the storage host: the tests of guests make the others trust each other
    keys = on(lab, lab.host("vmstorage"), "grep -c ssh- /root/.ssh/authorized_keys")
    assert int(keys) == 1


def test_up_again_changes_nothing_and_is_quick(lab: Lab) -> None:
    before = state.read(lab)["hosts"]
    began = time.monotonic()
    with cluster.only_one(lab):
        cluster.up(lab)
    assert time.monotonic() - began < 20
    assert state.read(lab)["hosts"] == before


def test_a_reboot_from_inside_comes_back(lab: Lab) -> None:
    host = lab.host("vmhost3")
    on(lab, host, "virsh net-start default; touch /root/stays; (sleep 1; systemctl reboot) >/dev/null 2>&1 &")
    time.sleep(2)
    with cluster.only_one(lab):
        cluster.heal(lab)
    assert float(on(lab, host, "cut -d' ' -f1 /proc/1/sched >/dev/null; ps -o etimes= -p 1")) < 30
    on(lab, host, "test -e /root/stays && ! ip link show virbr0 2>/dev/null && virsh net-start default")


def test_frames_in_bridges_are_left_alone(lab: Lab) -> None:
    host = lab.host("vmhost1")
    setting = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    assert on(lab, host, f"cat {setting} 2>/dev/null || echo 0").strip() == "0"
    assert network.is_plugged(lab, host)
