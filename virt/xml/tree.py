"""Reading and writing XML safely: no entities, no network, no DOCTYPE, no text that XML cannot hold."""

import difflib
import re
from collections.abc import Callable, Iterator

from lxml import etree

Element = etree._Element

# XML may hold a carriage return only escaped, and libvirt does not escape it; in attributes the same goes for
# tabs and line feeds
_NOT_TEXT = re.compile("[^\t\n\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NOT_ATTRIBUTE = re.compile("[^\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MAX_BYTES = 8 * 1024 * 1024
_UNITS = {
    "b": 1,
    "bytes": 1,
    "": 1024,
    "k": 1024,
    "kib": 1024,
    "kb": 1000,
    "m": 1024**2,
    "mib": 1024**2,
    "mb": 1000**2,
    "g": 1024**3,
    "gib": 1024**3,
    "gb": 1000**3,
    "t": 1024**4,
    "tib": 1024**4,
    "tb": 1000**4,
    "p": 1024**5,
    "pib": 1024**5,
    "pb": 1000**5,
    "e": 1024**6,
    "eib": 1024**6,
    "eb": 1000**6,
}


class BadXml(ValueError):
    """A document that is not what it should be, or a text that XML cannot hold."""


def parse_document(text: str, root_tag: str) -> Element:
    """The root element of `text`. Raises BadXml if it is broken, has a document type, or another root."""
    try:
        raw = text.encode()
    except UnicodeEncodeError as err:
        raise BadXml("the XML contains half a character (a lone surrogate)") from err
    if len(raw) > _MAX_BYTES:
        raise BadXml("the XML is larger than 8 MiB")
    parser = etree.XMLParser(
        encoding="utf-8", resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False
    )
    try:
        root = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as err:
        raise BadXml(f"the XML cannot be read: {err}") from err
    if root.getroottree().docinfo.internalDTD is not None:
        raise BadXml("the XML has a document type (DOCTYPE); that is not accepted")
    if root.tag != root_tag:
        raise BadXml(f"expected <{root_tag}>, found <{root.tag}>")
    return root


def serialise(root: Element) -> str:
    """`root` as indented text, without an XML declaration. White space between elements is replaced."""
    etree.indent(root, space="  ")
    return etree.tostring(root, encoding="unicode", with_tail=False) + "\n"


def check_text(value: str, what: str, refused: re.Pattern[str] = _NOT_TEXT) -> str:
    """`value`, or BadXml naming `what` if it holds a character that XML cannot carry to libvirt and back."""
    found = refused.search(value)
    if found:
        raise BadXml(f"{what} contains a control character (U+{ord(found.group()):04X})")
    return value


def add(parent: Element, tag: str, text: str | None = None, **attributes: str | None) -> Element:
    """Append <tag> to `parent`. Attributes that are None are left out; a trailing _ in a name is dropped."""
    child = etree.SubElement(parent, tag)
    if text is not None:
        child.text = check_text(text, tag)
    for name, value in attributes.items():
        set_attribute(child, name.rstrip("_"), value)
    return child


def set_attribute(element: Element, name: str, value: str | None) -> None:
    """Set the attribute, or remove it when `value` is None."""
    if value is None:
        drop(element, name)
    else:
        element.set(name, check_text(value, f"{element.tag} {name}", _NOT_ATTRIBUTE))


def drop(element: Element, *names: str) -> None:
    """Remove attributes, those of them that are there."""
    for name in names:
        if name in element.attrib:
            del element.attrib[name]


def set_child_text(parent: Element, tag: str, text: str | None) -> None:
    """Make <tag>text</tag> the one child of that name; None removes it."""
    child = parent.find(tag)
    if text is None:
        if child is not None:
            parent.remove(child)
        return
    if child is None:
        child = etree.SubElement(parent, tag)
    child.text = check_text(text, tag)


def yes_no(value: bool) -> str:
    return "yes" if value else "no"


def on_off(value: bool) -> str:
    return "on" if value else "off"


def text_of(parent: Element, path: str) -> str:
    """The text at `path` as it is written, or an empty text."""
    return parent.findtext(path) or ""


def get(element: Element, name: str, default: str = "") -> str:
    """An attribute of the element, or `default`."""
    return element.get(name) or default


def attribute(parent: Element, path: str, name: str) -> str:
    """Attribute `name` of the first element at `path`, or an empty text."""
    found = parent.find(path)
    return "" if found is None else found.get(name, "")


def number(text: str, what: str) -> int:
    """A whole number, or BadXml."""
    try:
        return int(text.strip())
    except ValueError as err:
        raise BadXml(f"{what} is not a number: {text.strip()[:40]!r}") from err


def bytes_of(element: Element | None, *, default_unit: str = "KiB") -> int:
    """An element with a unit (<memory unit='KiB'>) in bytes; 0 if there is none.

    libvirt's default unit is KiB for memory and bytes for storage.
    """
    if element is None:
        return 0
    unit = element.get("unit", default_unit)
    factor = _UNITS.get(unit.lower())
    if factor is None:
        raise BadXml(f"{element.tag} has an unknown unit: {unit[:20]!r}")
    return number(element.text or "", str(element.tag)) * factor


def kib(size_bytes: int, what: str) -> str:
    """Bytes as libvirt's KiB, rounded up. Raises ValueError below 1."""
    if size_bytes < 1:
        raise ValueError(f"{what} must be larger than 0")
    return str(-(-size_bytes // 1024))


def elements(parent: Element) -> Iterator[Element]:
    """Child elements, without comments and processing instructions."""
    for child in parent:
        if isinstance(child.tag, str):
            yield child


def detach(element: Element) -> None:
    """Remove `element` from its parent, if it has one."""
    parent = element.getparent()
    if parent is not None:
        parent.remove(element)


def canonical_text(root: Element, order: Callable[[Element], object] | None = None) -> str:
    """A text that is equal for documents that mean the same: sorted attributes, no comments, own white space.

    `order` sorts the children of the root and of <devices>, keeping equal ones as they come. Changes `root`.
    """
    for node in list(root.iter()):
        if not isinstance(node.tag, str):
            detach_keeping_tail(node)
            continue
        if not (node.text or "").strip():
            node.text = None
        ordered = sorted(node.attrib.items())
        node.attrib.clear()
        for name, value in ordered:
            node.set(name, value)
    if order is not None:
        _sort(root, order)
        for devices in root.findall("devices"):
            _sort(devices, order)
    return serialise(root)


def detach_keeping_tail(node: Element) -> None:
    """Remove a comment or instruction, but not the text that follows it."""
    parent = node.getparent()
    if parent is None:
        return
    before = node.getprevious()
    if before is None:
        parent.text = (parent.text or "") + (node.tail or "")
    else:
        before.tail = (before.tail or "") + (node.tail or "")
    parent.remove(node)


def _sort(parent: Element, order: Callable[[Element], object]) -> None:
    parent[:] = sorted(parent, key=order)  # type: ignore[arg-type]


def diff_texts(old: str, new: str, old_label: str, new_label: str) -> list[str]:
    """Unified diff lines without line ends; empty if the texts are equal."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), old_label, new_label, n=3, lineterm="")
    return list(lines)
