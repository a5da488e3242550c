"""Do two definitions mean the same? What a start, a host or a reader adds is taken out before comparing."""

from virt.xml.tree import Element, attribute, canonical_text, detach, diff_texts, drop, parse_document

# set by libvirt while a VM runs, or handed out by it at define
_DROPPED = (
    ".//alias",
    ".//address",
    "resource",
    "vcpus",
    "devices/emulator",
    "devices/disk/backingStore",
    "devices/disk/mirror",
    "devices/disk/source/privateData",
    "devices/interface/target",
    "devices/interface/backend",
    "devices/channel/source[@mode='bind']",
    "devices/*/source/seclabel",
    "devices/memballoon/actual",
)
_KEPT_ADDRESSES = ("hostdev", "interface")
_PTY = ("serial", "console", "parallel", "channel")


def canonical(xml: str) -> str:
    """A text that is equal for two domain XMLs that mean the same; passwords are masked. Raises BadXml."""
    domain = parse_document(xml, "domain")
    drop(domain, "id")
    for path in _DROPPED:
        for element in domain.findall(path):
            if not _is_meaning(element):
                detach(element)
    for label in domain.findall("seclabel"):
        if label.get("type") in ("dynamic", "none", None) or label.get("relabel") == "yes":
            detach(label)
    _drop_runtime_attributes(domain)
    _drop_controllers(domain)
    return canonical_text(domain, order=_order)


def _is_meaning(element: Element) -> bool:
    """The address of a host's device that is given to the VM is what it is about, not a run-time detail."""
    parent = element.getparent()
    holder = None if parent is None else parent.getparent()
    return (
        element.tag == "address"
        and parent is not None
        and parent.tag == "source"
        and holder is not None
        and (holder.tag in _KEPT_ADDRESSES)
    )


def _drop_runtime_attributes(domain: Element) -> None:
    for source in domain.iterfind("devices/disk/source"):
        drop(source, "index")
    for disk in domain.iterfind("devices/disk[@device='cdrom']"):
        if disk.find("source") is None:
            # without a medium a running drive forgets its driver's type
            for driver in disk.iterfind("driver"):
                drop(driver, "type")
    for graphics in domain.iterfind("devices/graphics"):
        if graphics.get("autoport") == "yes":
            drop(graphics, "port", "tlsPort", "websocket")
        if "passwd" in graphics.attrib:
            graphics.set("passwd", "***")
        for listen in graphics.iterfind("listen[@type='socket']"):
            drop(listen, "socket")
            drop(graphics, "socket")
    for kind in _PTY:
        for device in domain.iterfind(f"devices/{kind}"):
            drop(device, "tty")
            if device.get("type") == "pty":
                for source in device.findall("source"):
                    detach(source)
            for target in device.iterfind("target"):
                drop(target, "state")
    for source in domain.iterfind("devices/interface/source"):
        drop(source, "portid")
        if source.get("network"):
            drop(source, "bridge")


def _drop_controllers(domain: Element) -> None:
    """libvirt adds controllers by itself, as many as the devices need."""
    for controller in domain.findall("devices/controller"):
        if controller.get("type") in ("pci", "usb", "sata", "ide", "virtio-serial"):
            detach(controller)


def _order(element: Element) -> tuple[str, str]:
    """By kind; disks also by target, as libvirt orders them itself by that."""
    return str(element.tag), attribute(element, "target", "dev") if element.tag == "disk" else ""


def diff(old: str, new: str, old_label: str = "kept", new_label: str = "host") -> list[str]:
    """Unified diff lines between two domain XMLs in canonical form; empty if they mean the same."""
    return diff_texts(canonical(old), canonical(new), old_label, new_label)
