"""Where a VM's firmware variables are."""

import pytest

from virt.firmware import variables_path

FOLDER = "/var/lib/libvirt/qemu/nvram/"


def definition(system: str) -> str:
    return f"<domain><name>web</name><memory>1024</memory><os>{system}<type arch='x86_64'>hvm</type></os></domain>"


def pflash(nvram: str) -> str:
    return definition(f"<loader readonly='yes' type='pflash'>/x/CODE.fd</loader><nvram>{nvram}</nvram>")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (definition(""), ""),
        (pflash(f"{FOLDER}web_VARS.fd"), f"{FOLDER}web_VARS.fd"),
        (pflash("/srv/shared/web.fd"), ""),
        (pflash(f"{FOLDER}../../../etc/passwd"), ""),
        (definition("").replace("<os>", "<os firmware='efi'>"), f"{FOLDER}web_VARS.fd"),
        ("no XML", ""),
    ],
)
def test_path(text: str, path: str) -> None:
    """Only a file where libvirt itself puts it is ours to move; what lies elsewhere is somebody's choice."""
    assert variables_path(text, "web") == path
