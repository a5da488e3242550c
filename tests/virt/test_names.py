"""Names, addresses and paths: what people may type, and what must never get through."""

import base64
from collections.abc import Callable

import libvirt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from virt import names
from virt.names import Refused
from virt.xml import domain, summary
from virt.xml.devices import DiskSpec, FileSource
from virt.xml.note import VmNote

UUID = "0b5efd80-2c4e-4f63-9a0c-7b2c5e1f4d11"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBVxxkTyq8DEBu5pfQzAzid4jIdDQhjDgVZGckzV/Q70 ada@example.org"

Check = Callable[[str], str]

HOSTILE = [
    "",
    " ",
    "a b",
    "a;b",
    "$(id)",
    "`id`",
    "a|b",
    "a&b",
    "a<b",
    'a"b',
    "a'b",
    "a\\b",
    "a\nb",
    "a\rb",
    "a\tb",
    "a\x00b",
    "a\x7fb",
    "a\x85b",
    "a\u2028b",
    "../a",
    "a/b",
    "-a",
    "--help",
    ".",
    "..",
    ".a",
    "~",
    "a*",
    "a%00",
    "ü",
    "ⅰ",
    "ａ",
    "😀",
    "\ud800",
    "a\u202eb",
    "x" * 300,
]


@pytest.mark.parametrize(
    "check",
    [
        names.check_vm_name,
        names.check_pool_name,
        names.check_network_name,
        names.check_volume_name,
        names.check_hostname,
        names.check_domain,
        names.check_host_address,
        names.check_bridge,
        names.check_path,
        names.check_mac,
        names.check_disk_target,
        names.check_serial,
        names.check_locale,
        names.check_user_name,
        names.check_package,
        names.check_ssh_key,
        names.check_password_hash,
        names.check_uuid,
        names.check_ip,
    ],
    ids=lambda check: check.__name__,
)
def test_hostile_values_are_refused(check: Check) -> None:
    assert [value for value in HOSTILE if is_taken(check, value)] == []


def is_taken(check: Check, value: str) -> bool:
    try:
        check(value)
    except Refused:
        return False
    return True


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (names.check_vm_name, "web-1.lab_X"),
        (names.check_vm_name, "7up"),
        (names.check_vm_name, "x" * 63),
        (names.check_volume_name, "debian-12_amd64@2026+1.qcow2"),
        (names.check_volume_name, "unit:0:0:1"),
        (names.check_hostname, "web-1"),
        (names.check_domain, "lab.example.org"),
        (names.check_host_address, "kvm1.example.org"),
        (names.check_host_address, "10.77.0.1"),
        (names.check_host_address, "fd00::1"),
        (names.check_bridge, "br-lan.100"),
        (names.check_path, "/"),
        (names.check_path, "/srv/VMs & more/büro"),
        (names.check_source_dir, "/exports"),
        (names.check_source_dir, "kvmgluster/dir"),
        (names.check_title, ""),
        (names.check_title, "<b>büro</b> & 😀"),
        (names.check_description, "two\nlines\t"),
        (names.check_mac, "52:54:00:12:ab:cd"),
        (names.check_disk_target, "vdaa"),
        (names.check_user_name, "_ada-1"),
        (names.check_package, "libstdc++6:amd64=12.2.0-14~deb12u1"),
        (names.check_timezone, "UTC"),
        (names.check_timezone, "America/Argentina/Buenos_Aires"),
        (names.check_timezone, "America/Port-au-Prince"),
        (names.check_timezone, "Etc/GMT+5"),
        (names.check_locale, "de_AT.UTF-8"),
        (names.check_locale, "C.UTF-8"),
        (names.check_locale, "sr_RS.UTF-8@latin"),
        (names.check_serial, "ROOT_1"),
        (names.check_ssh_key, KEY),
        (names.check_uuid, UUID),
        (names.check_ip, "fd00::1"),
        (names.check_password_hash, "$6$rounds=5000$salt$" + "x" * 86),
        (names.check_password_hash, "$5$salt$" + "x" * 43),
        (names.check_password_hash, "$2b$12$" + "x" * 53),
        (names.check_password_hash, "$y$j9T$" + "x" * 22 + "$" + "y" * 43),
    ],
)
def test_ordinary_values_pass_unchanged(check: Check, value: str) -> None:
    assert check(value) == value


@pytest.mark.parametrize(
    ("check", "value", "words"),
    [
        (names.check_vm_name, "123", "only digits"),
        (names.check_vm_name, UUID, "UUID"),
        (names.check_vm_name, "0b5efd802c4e4f639a0c7b2c5e1f4d11", "UUID"),
        (names.check_vm_name, "x" * 64, "63 characters"),
        (names.check_host_address, "10.0.0", "complete"),
        (names.check_host_address, "root@host", "neither"),
        (names.check_host_address, "host:22", "neither"),
        (names.check_host_address, "[::1]", "neither"),
        (names.check_host_address, "fe80::1%eth0", "neither"),
        (names.check_path, "/a/../b", "as a part"),
        (names.check_path, "/a//b", "//"),
        (names.check_path, "/a/", "end with"),
        (names.check_mac, "01:00:5e:00:00:01", "multicast"),
        (names.check_mac, "00:00:00:00:00:00", "zeros"),
        (names.check_ssh_key, "-----BEGIN OPENSSH PRIVATE KEY-----", "private"),
        (names.check_ssh_key, 'command="id" ' + KEY, "begins with"),
        (names.check_ssh_key, KEY[:40], "damaged"),
        (names.check_ssh_key, "ssh-ed25519 !!!! x", "damaged"),
        (names.check_ssh_key, "ssh-rsa " + base64.b64encode(b"\0" * 60).decode(), "damaged"),
        (names.check_ssh_key, KEY + "\n" + KEY, "Line breaks"),
        (names.check_password_hash, "$1$salt$" + "x" * 22, "hash"),
        (names.check_password_hash, "secret", "hash"),
        (names.check_description, "a\x07", "Control"),
        (names.check_description, "x" * 9000, "8000"),
        (names.check_title, "a\nb", "Line breaks"),
        (names.check_timezone, "../etc/shadow", "time zone"),
        (names.check_timezone, "/etc/shadow", "time zone"),
        (names.check_timezone, "Europe/Vienna; id", "time zone"),
        (names.check_timezone, "x" * 300, "40 characters"),
    ],
)
def test_the_reason_is_told(check: Check, value: str, words: str) -> None:
    with pytest.raises(Refused, match=words) as caught:
        check(value)
    assert str(caught.value) == caught.value.template % caught.value.params


@given(st.text(max_size=100))
def test_a_host_name_is_made_of_any_name(vm_name: str) -> None:
    assert names.check_hostname(names.suggest_hostname(vm_name))


def test_a_host_name_like_the_vm() -> None:
    assert names.suggest_hostname("Web_1.Lab") == "web-1-lab"
    assert names.suggest_hostname("büro (alt) #2") == "b-ro-alt-2"
    assert names.suggest_hostname("😀") == "vm"


def test_values_are_tidied() -> None:
    assert names.check_mac(" 52-54-00-12-AB-CD ") == "52:54:00:12:ab:cd"
    assert names.check_uuid(UUID.upper().replace("-", "")) == UUID
    assert names.check_ssh_key(f"  {KEY}\n") == KEY
    assert names.check_description("a\r\nb\rc") == "a\nb\nc"


@pytest.mark.parametrize("check", [names.check_memory_bytes, names.check_disk_bytes, names.check_vcpus])
def test_sizes(check: Callable[[int], int]) -> None:
    for value in (0, -1, 10**18):
        with pytest.raises(Refused):
            check(value)
    good = 4 if check is names.check_vcpus else 1024**3
    assert check(good) == good


_TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from("<>&\"'\\$`;|\n\t\r\x00 /.-"), max_size=80)


@given(name=_TEXT, title=_TEXT, text=_TEXT, owner=_TEXT, path=_TEXT)
def test_any_text_comes_back_from_libvirt_or_is_refused(
    name: str, title: str, text: str, owner: str, path: str
) -> None:
    """libvirt's own parser and writer are in the middle: what a spec accepts means the same afterwards."""
    conn = libvirt.open("test:///default")
    try:
        spec = domain.DomainSpec(
            name=names.check_vm_name(name) if name.isalnum() else "vm",
            uuid=UUID,
            memory_bytes=1024**3,
            domain_type="test",
            title=title,
            description=text,
            note=VmNote(owner, text),
            disks=(DiskSpec(FileSource("/x" + path)),),
        )
        xml = domain.build(spec)
    except ValueError:
        return
    else:
        made = conn.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
        read = summary.parse(made.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        made.undefine()
        assert (read.name, read.title) == (spec.name, spec.title)
        assert read.description == names.check_description(spec.description)
        assert read.note == spec.note
        assert read.disks[0].source.path == "/x" + path
    finally:
        conn.close()
