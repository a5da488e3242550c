"""The first boot: what cloud-init reads, checked with cloud-init's own schema and other people's ISO readers."""

import dataclasses
import email
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from virt.names import Refused
from virt.passwords import hash_password
from virt.seed import BadUserData, SeedNic, SeedSpec, iso, render, validate_user_data
from virt.user_data import content_type, dump_config, merge, parse_config

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBVxxkTyq8DEBu5pfQzAzid4jIdDQhjDgVZGckzV/Q70 ada@example.org"
HASH = "$6$ct4dIwnHLjzCVb5W$CVtVgXNHkUuZRog6eXpORpfP4tvBVxY0jw4UYz5VfHZfJSzM4cP9Opl5D15KLdxbZCnaZqTF04lcWsf2nejcE1"
MAC = "52:54:00:00:00:01"
UUID = "0b5efd80-2c4e-4f63-9a0c-7b2c5e1f4d11"
MINIMAL = SeedSpec("web1", UUID)
STATIC = SeedNic(
    MAC,
    has_dhcp=False,
    addresses=("10.0.0.5/24", "fd00::5/64"),
    gateways=("10.0.0.1", "fd00::1"),
    dns=("10.0.0.2", "2001:db8::53"),
    search=("lab.example.org",),
    mtu=1400,
)
FULL = SeedSpec(
    "web1",
    UUID,
    domain="lab.example.org",
    user_name="ada",
    ssh_keys=(KEY,),
    password_hash=HASH,
    allows_password_ssh=True,
    nics=(STATIC, SeedNic("52:54:00:00:00:02")),
    packages=("qemu-guest-agent", "htop"),
    timezone="Europe/Vienna",
    locale="de_AT.UTF-8",
    user_data="#cloud-config\npackages:\n  - vim\n  - htop\nruncmd:\n  - [touch, /büro]\n",
    extra={"growpart": {"mode": "auto"}},
)


def _config(spec: SeedSpec) -> dict[str, Any]:
    return parse_config(render(spec)["user-data"])


@pytest.mark.parametrize(("name", "spec"), [("minimal", MINIMAL), ("full", FULL)])
def test_it_works(name: str, spec: SeedSpec, golden: Callable[[str, str], None]) -> None:
    files = render(spec)

    for file, text in files.items():
        golden(f"seed-{name}.{file}", text)
    assert yaml.safe_load(files["meta-data"]) == {"instance-id": UUID, "local-hostname": "web1"}
    assert files["user-data"].startswith("#cloud-config\n")


OTHER: dict[str, Any] = {
    "hostname": "web2",
    "instance_id": "another",
    "domain": "example.net",
    "user_name": "bob",
    "ssh_keys": (),
    "password_hash": "",
    "has_sudo": False,
    "allows_password_ssh": False,
    "nics": (),
    "packages": (),
    "timezone": "UTC",
    "locale": "C.UTF-8",
    "user_data": "",
    "replaces_user_data": True,
    "extra": {},
}
OTHER_NIC: dict[str, Any] = {
    "mac": "52:54:00:00:00:09",
    "addresses": ("10.0.0.6/24", "fd00::5/64"),
    "gateways": (),
    "dns": (),
    "search": (),
    "mtu": None,
}


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(SeedSpec)])
def test_every_field_reaches_the_seed(field: str) -> None:
    assert render(FULL) != render(dataclasses.replace(FULL, **{field: OTHER[field]}))


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(SeedNic) if field.name != "has_dhcp"])
def test_every_field_of_an_interface_reaches_the_seed(field: str) -> None:
    nic = dataclasses.replace(STATIC, **{field: OTHER_NIC[field]})
    assert render(FULL) != render(dataclasses.replace(FULL, nics=(nic, FULL.nics[1])))


def test_an_interface_with_dhcp_one_static_and_one_left_alone() -> None:
    nics = (SeedNic(MAC), SeedNic("52:54:00:00:00:02", addresses=("10.0.0.5/24",)), SeedNic("52:54:00:00:00:03", False))
    ethernets = yaml.safe_load(render(dataclasses.replace(MINIMAL, nics=nics))["network-config"])["ethernets"]

    assert ethernets["eth0"] == {"match": {"macaddress": MAC}, "set-name": "eth0", "dhcp4": True}
    assert ethernets["eth1"]["dhcp4"] is False
    assert ethernets["eth1"]["addresses"] == ["10.0.0.5/24"]
    assert ethernets["eth2"]["dhcp4"] is False


CloudInit = Callable[..., subprocess.CompletedProcess[str]]
SCHEMA = ("-m", "cloudinit.cmd.main", "schema", "--config-file")


@pytest.mark.parametrize(
    "spec",
    [
        MINIMAL,
        FULL,
        dataclasses.replace(FULL, user_name=""),
        dataclasses.replace(FULL, user_name="root"),
        dataclasses.replace(FULL, password_hash="", ssh_keys=()),
    ],
    ids=["minimal", "full", "default user", "root", "nothing to log in with"],
)
def test_cloud_inits_own_schema_accepts_it(spec: SeedSpec, tmp_path: Path, cloud_init: CloudInit) -> None:
    path = tmp_path / "user-data"
    path.write_text(render(spec)["user-data"])

    done = cloud_init(*SCHEMA, str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_check_can_fail(tmp_path: Path, cloud_init: CloudInit) -> None:
    path = tmp_path / "user-data"
    path.write_text("#cloud-config\npackages: 7\n")

    done = cloud_init(*SCHEMA, str(path))
    assert done.returncode != 0
    assert "packages" in done.stdout + done.stderr


def test_the_iso_is_read_by_others(tmp_path: Path) -> None:
    files = render(FULL)
    image = tmp_path / "seed.iso"
    image.write_bytes(iso(files))

    label = subprocess.run(["blkid", "-o", "export", str(image)], capture_output=True, text=True, check=True).stdout
    assert "LABEL=cidata" in label.splitlines()
    assert "TYPE=iso9660" in label.splitlines()
    for names_by in ("-R", "-J"):
        for name, text in files.items():
            read = subprocess.run(
                ["isoinfo", "-i", str(image), names_by, "-x", f"/{name}"], capture_output=True, check=True
            ).stdout
            assert read.decode() == text


def test_the_password_is_one_that_logs_in() -> None:
    for password in ("geheim", "-stdin", "ü'\"$(id)`;", "x" * 190):
        hashed = hash_password(password)
        salt = hashed.split("$")[2]
        again = subprocess.run(
            ["openssl", "passwd", "-6", "-salt", salt, "-stdin"],
            input=password.encode() + b"\n",
            capture_output=True,
            check=True,
        )
        assert again.stdout.decode().strip() == hashed
        assert _config(dataclasses.replace(FULL, password_hash=hashed))["users"][0]["hashed_passwd"] == hashed
    assert hash_password("geheim") != hash_password("geheim")


@pytest.mark.parametrize("password", ["", "two\nlines", "a\x00b", "\x7f", "\ud800", "x" * 201])
def test_a_password_nobody_can_type_is_refused(password: str) -> None:
    with pytest.raises(Refused):
        hash_password(password)


def test_who_may_log_in() -> None:
    user = _config(FULL)["users"][0]
    assert (user["lock_passwd"], user["hashed_passwd"], user["ssh_authorized_keys"]) == (False, HASH, [KEY])
    assert "NOPASSWD" in user["sudo"]
    assert _config(dataclasses.replace(FULL, password_hash=""))["users"][0]["lock_passwd"] is True
    root = _config(dataclasses.replace(FULL, user_name="root"))
    assert root["disable_root"] is False
    assert "sudo" not in root["users"][0]
    default = _config(dataclasses.replace(FULL, user_name=""))
    assert "users" not in default
    assert default["ssh_authorized_keys"] == [KEY]
    assert (default["password"], default["chpasswd"]) == (HASH, {"expire": False})
    with pytest.raises(ValueError, match="user name"):
        render(dataclasses.replace(FULL, user_name="", password_hash="$y$j9T$" + "x" * 22 + "$" + "y" * 43))


def test_own_settings_are_merged() -> None:
    own = (
        "#cloud-config\nhostname: other\npackages: [vim, htop]\nusers:\n  - name: ada\n    shell: /bin/zsh\n"
        "  - name: eve\ngrowpart: {devices: [/]}\n"
    )
    config = _config(dataclasses.replace(FULL, user_data=own))

    assert config["hostname"] == "other"
    assert config["packages"] == ["qemu-guest-agent", "htop", "vim"]
    assert [user["name"] for user in config["users"]] == ["ada", "eve"]
    assert config["users"][0]["shell"] == "/bin/zsh"
    assert config["users"][0]["ssh_authorized_keys"] == [KEY]
    assert config["growpart"] == {"mode": "auto", "devices": ["/"]}


def test_users_written_as_names() -> None:
    assert merge({"users": [{"name": "ada"}]}, {"users": ["default", "ada"]}) == {"users": ["ada", "default"]}


def test_replacing_uses_the_text_alone() -> None:
    spec = dataclasses.replace(FULL, user_data="#!/bin/sh\r\necho hello", replaces_user_data=True)

    assert render(spec)["user-data"] == "#!/bin/sh\necho hello\n"
    assert render(dataclasses.replace(spec, user_data=" "))["user-data"] == dump_config({})


MIME = (
    'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n--b\nContent-Type: text/cloud-config\n\n'
    "#cloud-config\nruncmd: [id]\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\nid\n--b--\n"
)


@pytest.mark.parametrize(
    ("own", "kinds"),
    [
        ("#!/bin/sh\necho 'grüße'\n", ["text/cloud-config", "text/x-shellscript"]),
        ("#include\nhttp://example.org/x\n", ["text/cloud-config", "text/x-include-url"]),
        ("## template: jinja\n#cloud-config\n", ["text/cloud-config", "text/jinja2"]),
        ("#cloud-boothook\nid\n", ["text/cloud-config", "text/cloud-boothook"]),
        (MIME, ["text/cloud-config", "text/cloud-config", "text/x-shellscript"]),
    ],
)
def test_other_kinds_go_into_a_part_of_their_own(own: str, kinds: list[str]) -> None:
    spec = dataclasses.replace(FULL, user_data=own)
    text = render(spec)["user-data"]

    parts = [part for part in email.message_from_string(text).walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == kinds
    contents = [bytes(part.get_payload(decode=True)).decode() for part in parts]
    assert parse_config(contents[0])["hostname"] == "web1"
    assert contents[-1].strip() in own
    # the preview is what the VM gets
    assert render(spec)["user-data"] == text


def test_cloud_init_itself_reads_the_parts(tmp_path: Path, cloud_init: CloudInit) -> None:
    path = tmp_path / "user-data"
    path.write_text(render(dataclasses.replace(FULL, user_data="#!/bin/sh\necho 'grüße'\n"))["user-data"])
    code = (
        "import json, sys; from cloudinit.user_data import convert_string; from cloudinit import util\n"
        "message = convert_string(open(sys.argv[1], 'rb').read())\n"
        "print(json.dumps([[p.get_content_type(), util.fully_decoded_payload(p)]"
        " for p in message.walk() if not p.is_multipart()]))"
    )
    done = cloud_init("-c", code, str(path))
    assert done.returncode == 0, done.stderr
    parts = json.loads(done.stdout)

    assert [kind for kind, _ in parts] == ["text/cloud-config", "text/x-shellscript"]
    assert parts[1][1] == "#!/bin/sh\necho 'grüße'\n"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (dataclasses.replace(MINIMAL, hostname="web 1"), "letters"),
        (dataclasses.replace(MINIMAL, hostname="web.lab"), "letters"),
        (dataclasses.replace(MINIMAL, instance_id=""), "instance id"),
        (dataclasses.replace(MINIMAL, domain="a..b"), "domain"),
        (dataclasses.replace(MINIMAL, user_name="Ada Lovelace"), "lower case"),
        (dataclasses.replace(MINIMAL, user_name="ada", ssh_keys=("hello",)), "SSH"),
        (dataclasses.replace(MINIMAL, ssh_keys=(KEY[:50],)), "damaged"),
        (dataclasses.replace(MINIMAL, password_hash="geheim"), "hash"),
        (dataclasses.replace(MINIMAL, packages=("a b; rm -rf /",)), "package"),
        (dataclasses.replace(MINIMAL, timezone="../../etc/shadow"), "time zone"),
        (dataclasses.replace(MINIMAL, locale="de; id"), "locale"),
        (dataclasses.replace(MINIMAL, user_data="hello"), "cloud-config"),
        (dataclasses.replace(MINIMAL, user_data="hello", replaces_user_data=True), "cloud-config"),
        (dataclasses.replace(MINIMAL, nics=(SeedNic("x"),)), "MAC"),
        (dataclasses.replace(MINIMAL, nics=(SeedNic(MAC), SeedNic(MAC.upper()))), "twice"),
    ],
)
def test_what_cannot_be_is_refused(spec: SeedSpec, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        render(spec)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"addresses": ("10.0.0.5",)}, "prefix"),
        ({"addresses": ("10.0.0.0/24",)}, "broadcast"),
        ({"addresses": ("10.0.0.255/24",)}, "broadcast"),
        ({"addresses": ("10.0.0.500/24",)}, "10.0.0.500"),
        ({"addresses": ("10.0.0.5/24",), "gateways": ("10.1.0.1",)}, "not in the network"),
        ({"addresses": ("10.0.0.5/24",), "gateways": ("10.0.0.5",)}, "own address"),
        ({"gateways": ("10.0.0.1",)}, "beside it"),
        ({"dns": ("ns.example.org",)}, "ns.example.org"),
        ({"search": ("-x",)}, "domain"),
        ({"mtu": 12}, "MTU"),
    ],
)
def test_addresses_that_cannot_be_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        render(dataclasses.replace(MINIMAL, nics=(SeedNic(MAC, **changes),)))


def test_a_single_address_reaches_its_gateway_directly() -> None:
    nic = SeedNic(MAC, addresses=("203.0.113.7/32",), gateways=("198.51.100.1", "fe80::1"))
    entry = yaml.safe_load(render(dataclasses.replace(MINIMAL, nics=(nic,)))["network-config"])["ethernets"]["eth0"]

    assert entry["routes"] == [
        {"to": "0.0.0.0/0", "via": "198.51.100.1", "on-link": True},
        {"to": "::/0", "via": "fe80::1"},
    ]


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.lists(st.text()), max_size=5))
def test_any_settings_survive_being_written(settings: dict[str, Any]) -> None:
    assert yaml.safe_load(dump_config(settings)) == (settings or {})


@given(st.text(max_size=200))
def test_any_user_data_is_taken_or_refused_in_words(text: str) -> None:
    messages = validate_user_data(text)
    spec = dataclasses.replace(MINIMAL, user_data=text)
    if messages:
        assert all(message.endswith((".", ").")) for message in messages)
        with pytest.raises(BadUserData):
            render(spec)
    else:
        assert content_type(render(spec)["user-data"])
