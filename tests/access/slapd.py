"""A real OpenLDAP server of the tests' own, with TLS, people and groups."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BASE = "dc=uni,dc=example"
ADMIN, ADMIN_PASSWORD = f"cn=admin,{BASE}", "directory 9"
PASSWORD = "ldap horse 9"
CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
pidfile {folder}/pid
database mdb
directory {folder}/data
suffix "{base}"
rootdn "{admin}"
rootpw "{password}"
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=drover,{base}" read by * none
"""
START = """dn: {base}
objectClass: domain
dc: uni

dn: ou=people,{base}
objectClass: organizationalUnit
ou: people

dn: ou=groups,{base}
objectClass: organizationalUnit
ou: groups

dn: cn=drover,{base}
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: drover
userPassword: {password}

"""


class Server:
    """Where it is, and ways to change what is in it."""

    def __init__(self, folder: Path, port: int, tls_port: int) -> None:
        self.folder = folder
        self.url, self.tls_url = f"ldap://127.0.0.1:{port}", f"ldaps://127.0.0.1:{tls_port}"
        self.ca_file = str(folder / "cert.pem")

    def change(self, ldif: str, program: str = "ldapadd") -> None:
        words = ["-x", "-H", self.url, "-D", ADMIN, "-w", ADMIN_PASSWORD]
        subprocess.run([program, *words], input=ldif, text=True, check=True, capture_output=True)

    def person(self, name: str, **more: str) -> None:
        facts = {"cn": name, "sn": name.title(), "userPassword": PASSWORD, **more}
        lines = "".join(f"{key}: {value}\n" for key, value in facts.items())
        self.change(f"dn: uid={name},ou=people,{BASE}\nobjectClass: inetOrgPerson\nuid: {name}\n{lines}\n")

    def group(self, name: str, *people: str, groups: tuple[str, ...] = ()) -> str:
        members = [f"uid={one},ou=people,{BASE}" for one in people] + [f"cn={one},ou=groups,{BASE}" for one in groups]
        dn = f"cn={name},ou=groups,{BASE}"
        lines = "".join(f"member: {member}\n" for member in members)
        self.change(f"dn: {dn}\nobjectClass: groupOfNames\ncn: {name}\n{lines}\n")
        return dn

    def rename(self, name: str, new: str) -> None:
        words = f"dn: uid={name},ou=people,{BASE}\nchangetype: modrdn\nnewrdn: uid={new}\ndeleteoldrdn: 1\n\n"
        self.change(words, "ldapmodify")

    def remove(self, dn: str) -> None:
        self.change(f"dn: {dn}\nchangetype: delete\n\n", "ldapmodify")

    def facts(self, **more: Any) -> dict[str, Any]:
        """As the environment would say it (settings.LDAP)."""
        found = {"url": self.url, "start_tls": True, "ca_file": self.ca_file, "filter": "", "name": "uid"}
        found |= {"bind": f"cn=drover,{BASE}", "password": ADMIN_PASSWORD, "people": f"ou=people,{BASE}"}
        return {**found, "id": "entryUUID", "groups_below": f"ou=groups,{BASE}", "group_kind": "member", **more}


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def make_certificate(folder: Path) -> None:
    words = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", *words, *files], check=True, capture_output=True)


@contextmanager
def running(folder: Path) -> Iterator[Server]:
    (folder / "data").mkdir()
    make_certificate(folder)
    config = folder / "slapd.conf"
    config.write_text(CONFIG.format(folder=folder, base=BASE, admin=ADMIN, password=ADMIN_PASSWORD))
    server = Server(folder, free_port(), free_port())
    words = ["/usr/sbin/slapd", "-d", "0", "-f", str(config), "-h", f"{server.url} {server.tls_url}"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(server, process)
        server.change(START.format(base=BASE, password=ADMIN_PASSWORD))
        yield server
    finally:
        process.terminate()
        process.wait()


def wait_for(server: Server, process: "subprocess.Popen[bytes]") -> None:
    until = time.monotonic() + 20
    port = int(server.tls_url.rpartition(":")[2])
    while True:
        assert process.poll() is None, "slapd ended"
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            return
