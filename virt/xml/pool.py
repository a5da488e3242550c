"""Storage pools: https://libvirt.org/formatstorage.html#storage-pool-xml"""

from dataclasses import dataclass

from lxml import etree

from virt.names import check_host_address, check_path, check_source_dir, check_uuid
from virt.xml.devices import SourceHost
from virt.xml.tree import BadXml, Element, add, attribute, number, parse_document, serialise, text_of

MOUNT_OPTIONS_NAMESPACE = "http://libvirt.org/schemas/storagepool/fs/1.0"
SHARED_KINDS = frozenset({"netfs", "gluster", "rbd", "iscsi", "iscsi-direct", "sheepdog", "vstorage"})


@dataclass(frozen=True)
class PoolSpec:
    """A pool. kind "dir" needs target_path; "netfs" also a host, source_dir and format nfs or glusterfs.

    Other kinds (logical, rbd, iscsi-direct...) are read and written with what these fields can hold;
    `source_name` is a volume group, Ceph pool or Gluster volume, `devices` are device paths or iSCSI target
    names. protocol_version is NFS's ("4.2"); mount_options are passed to mount(8) and need libvirt 5.1.
    """

    name: str
    kind: str
    target_path: str = ""
    uuid: str = ""
    source_format: str = ""
    hosts: tuple[SourceHost, ...] = ()
    source_dir: str = ""
    source_name: str = ""
    devices: tuple[str, ...] = ()
    initiator: str = ""
    auth_kind: str = ""
    auth_user_name: str = ""
    secret_uuid: str = ""
    secret_usage: str = ""
    protocol_version: str = ""
    mount_options: tuple[str, ...] = ()
    mode: str = ""
    owner: int | None = None
    group: int | None = None

    @property
    def is_shared(self) -> bool:
        """True if another host with this pool sees the same volumes. A dir may be: then only people know."""
        return self.kind in SHARED_KINDS


def build(spec: PoolSpec) -> str:
    """The pool XML. Raises ValueError for what cannot be."""
    _check(spec)
    nsmap = {"fs": MOUNT_OPTIONS_NAMESPACE} if spec.mount_options else None
    pool = etree.Element("pool", nsmap=nsmap)
    pool.set("type", spec.kind)
    add(pool, "name", spec.name)
    if spec.uuid:
        add(pool, "uuid", check_uuid(spec.uuid))
    _add_source(pool, spec)
    if spec.target_path:
        target = add(pool, "target")
        add(target, "path", check_path(spec.target_path))
        _add_permissions(target, spec)
    if spec.mount_options:
        options = etree.SubElement(pool, f"{{{MOUNT_OPTIONS_NAMESPACE}}}mount_opts")
        for option in spec.mount_options:
            etree.SubElement(options, f"{{{MOUNT_OPTIONS_NAMESPACE}}}option").set("name", _option(option))
    return serialise(pool)


def _check(spec: PoolSpec) -> None:
    if not spec.name or not spec.kind:
        raise ValueError("a pool needs a name and a kind")
    if spec.kind in ("dir", "fs", "netfs") and not spec.target_path:
        raise ValueError("this kind of pool needs a path on the host")
    if spec.kind == "netfs" and not (spec.hosts and spec.source_dir):
        raise ValueError("a network file system needs a server and what it exports")
    if spec.mode and not (spec.mode.isdigit() and int(spec.mode, 8) <= 0o7777):
        raise ValueError("the mode must be octal, for example 0711")


def _option(option: str) -> str:
    if not option or any(sign in option for sign in ", \t\n"):
        raise ValueError(f"this is not one mount option: {option!r}")
    return option


def _add_source(pool: Element, spec: PoolSpec) -> None:
    source = add(pool, "source")
    for host in spec.hosts:
        port = None if host.port is None else str(host.port)
        add(source, "host", name=check_host_address(host.name), port=port)
    for device in spec.devices:
        add(source, "device", path=device)
    if spec.source_dir:
        add(source, "dir", path=check_source_dir(spec.source_dir))
    if spec.initiator:
        add(add(source, "initiator"), "iqn", name=spec.initiator)
    if spec.auth_kind:
        auth = add(source, "auth", type=spec.auth_kind, username=spec.auth_user_name)
        add(auth, "secret", uuid=spec.secret_uuid or None, usage=spec.secret_usage or None)
    if spec.source_name:
        add(source, "name", spec.source_name)
    if spec.source_format:
        add(source, "format", type=spec.source_format)
    if spec.protocol_version:
        add(source, "protocol", ver=spec.protocol_version)
    if not len(source):
        pool.remove(source)


def _add_permissions(target: Element, spec: PoolSpec) -> None:
    if not spec.mode and spec.owner is None and spec.group is None:
        return
    permissions = add(target, "permissions")
    if spec.mode:
        add(permissions, "mode", spec.mode)
    if spec.owner is not None:
        add(permissions, "owner", str(spec.owner))
    if spec.group is not None:
        add(permissions, "group", str(spec.group))


def parse(xml: str) -> PoolSpec:
    """Read a pool XML of any kind. Raises BadXml; what PoolSpec has no field for is left out."""
    pool = parse_document(xml, "pool")
    source = pool.find("source")
    source = etree.Element("source") if source is None else source
    permissions = "target/permissions/"
    option = f"{{{MOUNT_OPTIONS_NAMESPACE}}}"
    return PoolSpec(
        name=text_of(pool, "name"),
        kind=pool.get("type", ""),
        target_path=text_of(pool, "target/path"),
        uuid=text_of(pool, "uuid").strip().lower(),
        source_format=attribute(source, "format", "type"),
        hosts=tuple(_host(host) for host in source.iterchildren("host")),
        source_dir=attribute(source, "dir", "path"),
        source_name=text_of(source, "name"),
        devices=tuple(device.get("path", "") for device in source.iterchildren("device")),
        initiator=attribute(source, "initiator/iqn", "name"),
        auth_kind=attribute(source, "auth", "type"),
        auth_user_name=attribute(source, "auth", "username"),
        secret_uuid=attribute(source, "auth/secret", "uuid"),
        secret_usage=attribute(source, "auth/secret", "usage"),
        protocol_version=attribute(source, "protocol", "ver"),
        mount_options=tuple(item.get("name", "") for item in pool.iterfind(f"{option}mount_opts/{option}option")),
        mode=text_of(pool, permissions + "mode"),
        owner=_id(pool, permissions + "owner"),
        group=_id(pool, permissions + "group"),
    )


def _host(host: Element) -> SourceHost:
    port = host.get("port")
    return SourceHost(host.get("name", ""), number(port, "port") if port else None)


def _id(pool: Element, path: str) -> int | None:
    text = pool.findtext(path)
    value = None if text is None else number(text, path)
    return None if value == -1 else value


def source_key(spec: PoolSpec) -> str:
    """A text that is equal for two pools with the same source, whatever they are called on their hosts.

    For kinds that are not shared it only compares paths: two hosts' /var/lib/libvirt/images are still two
    places. One server written once by name and once by address counts as two.
    """
    if spec.kind in ("dir", "fs") and not spec.devices:
        return f"{spec.kind}:{spec.target_path}"
    kind = spec.source_format if spec.kind == "netfs" and spec.source_format not in ("", "auto") else spec.kind
    if kind == "netfs":
        kind = "nfs"
    hosts = ",".join(
        sorted(f"{host.name.lower()}:{host.port}" if host.port else host.name.lower() for host in spec.hosts)
    )
    parts = [part.strip("/") for part in (spec.source_name, spec.source_dir, *spec.devices) if part.strip("/")]
    return f"{kind}://{hosts}/{'/'.join(parts)}"


def search(server: str) -> str:
    """What libvirt wants to know to look what a server offers (virConnectFindStoragePoolSources)."""
    source = etree.Element("source")
    add(source, "host", name=check_host_address(server))
    return serialise(source)


def parse_sources(xml: str, kind: str) -> list[PoolSpec]:
    """What was found: specs without a name, of which only the source is known. Raises BadXml."""
    found = []
    for source in parse_document(xml, "sources").iterchildren("source"):
        found.append(
            PoolSpec(
                name="",
                kind=kind,
                source_format=attribute(source, "format", "type"),
                hosts=tuple(_host(host) for host in source.iterchildren("host")),
                source_dir=attribute(source, "dir", "path"),
                source_name=text_of(source, "name"),
                devices=tuple(device.get("path", "") for device in source.iterchildren("device")),
            )
        )
    return found


def difference(a: PoolSpec, b: PoolSpec) -> dict[str, tuple[str, str]]:
    """What two hosts' definitions of one pool differ in: field -> both values as text. UUIDs may differ."""
    if a.kind == "" or b.kind == "":
        raise BadXml("a pool without a kind cannot be compared")
    found: dict[str, tuple[str, str]] = {}
    if source_key(a) != source_key(b):
        found["source"] = (source_key(a), source_key(b))
    for field in ("kind", "target_path", "protocol_version", "mount_options", "mode", "owner", "group"):
        left, right = _shown(getattr(a, field)), _shown(getattr(b, field))
        if left != right:
            found[field] = (left, right)
    return found


def _shown(value: object) -> str:
    if value is None:
        return ""
    return ", ".join(value) if isinstance(value, tuple) else str(value)
