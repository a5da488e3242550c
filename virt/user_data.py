"""cloud-init's user-data as people write it: is it well formed, and how it joins what Drover generates.

https://cloudinit.readthedocs.io/en/latest/explanation/format.html
"""

import email
import email.policy
import hashlib
import re
from collections.abc import Iterator, Mapping
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from typing import Any

import yaml

MAX_BYTES = 512 * 1024
CLOUD_CONFIG = "text/cloud-config"
MULTIPART = "multipart"

# first line -> content type of the part, the longest first
_KINDS: tuple[tuple[str, str], ...] = (
    ("#cloud-config-archive", "text/cloud-config-archive"),
    ("#cloud-config-jsonp", "text/cloud-config-jsonp"),
    ("#cloud-config", CLOUD_CONFIG),
    ("#cloud-boothook", "text/cloud-boothook"),
    ("#part-handler", "text/part-handler"),
    ("#include-once", "text/x-include-once-url"),
    ("#include", "text/x-include-url"),
    ("## template: jinja", "text/jinja2"),
    ("#!", "text/x-shellscript"),
)
MAX_VALUES = 50_000
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class BadUserData(ValueError):
    """User-data that cannot be used; `messages` say why, in plain words with line numbers."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__(" ".join(messages))
        self.messages = messages


class _Loader(yaml.SafeLoader):
    """SafeLoader that notes keys given twice, which YAML forbids and PyYAML silently accepts."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.twins: list[str] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    self.twins.append(f"Line {key.start_mark.line + 1}: {key.value!r} is given twice.")
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def normalise(text: str) -> str:
    """Plain line ends and one at the end, no byte order mark."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    return text if text.endswith("\n") or not text else text + "\n"


def content_type(text: str) -> str:
    """Which kind of user-data this is, as cloud-init decides: by its first line; "" if it would be ignored."""
    text = normalise(text)
    if _is_mime(text):
        return MULTIPART
    for start, kind in _KINDS:
        if text.startswith(start):
            return kind
    return ""


def _is_mime(text: str) -> bool:
    first = text.split("\n", 1)[0].lower()
    return first.startswith(("content-type:", "mime-version:"))


def validate_user_data(text: str) -> list[str]:
    """What is wrong with the text, one sentence per finding with its line; an empty list if nothing is.

    An empty text is fine. Scripts are not read, only cloud-config (also within a multi-part document).
    """
    if not text.strip():
        return []
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        return [f"The user-data is larger than {MAX_BYTES // 1024} KiB."]
    text = normalise(text)
    found = _NOT_TEXT.search(text)
    if found:
        line = text.count("\n", 0, found.start()) + 1
        return [f"Line {line}: there is a control character (U+{ord(found.group()):04X})."]
    kind = content_type(text)
    if not kind:
        return [_no_kind(text)]
    if kind == CLOUD_CONFIG:
        return _validate_config(text)
    if kind == MULTIPART:
        return _validate_multipart(text)
    return []


def _no_kind(text: str) -> str:
    first = text.split("\n", 1)[0]
    if re.match(r"#\s*cloud[-_ ]config", first, re.IGNORECASE):
        return "Line 1: the first line must be exactly #cloud-config, without spaces, in lower case."
    if text.lstrip().startswith(("#cloud-config", "#!")):
        return "Line 1: there must be nothing before #cloud-config or #!, not even an empty line."
    return "Line 1: begin with #cloud-config (settings) or #! (a script); cloud-init ignores everything else."


def _validate_config(text: str) -> list[str]:
    try:
        parse_config(text)
    except BadUserData as err:
        return err.messages
    return []


def parse_config(text: str) -> dict[str, Any]:
    """The mapping in a #cloud-config text. Raises BadUserData."""
    loader = _Loader(text)
    try:
        data = loader.get_single_data()
        _weigh(data, {})
    except yaml.MarkedYAMLError as err:
        raise BadUserData([_yaml_message(err, text)]) from err
    except yaml.YAMLError as err:
        raise BadUserData([f"This is not YAML: {err}"]) from err
    except BadUserData:
        raise
    except RecursionError as err:
        raise BadUserData(["The YAML is nested too deeply."]) from err
    except ValueError as err:
        raise BadUserData([f"A value cannot be read: {err}"]) from err
    if loader.twins:
        raise BadUserData(loader.twins)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise BadUserData(["Below #cloud-config there must be settings (name: value), not a list or a single text."])
    return _checked(data)


def _weigh(data: object, known: dict[int, int]) -> int:
    """How many values `data` has once its anchors are written out. Raises BadUserData above MAX_VALUES.

    YAML can say in ten lines what fills all memory when written out, and can refer to itself.
    """
    if not isinstance(data, (dict, list)):
        return 1
    if id(data) in known:
        return known[id(data)]
    # as heavy as can be while it is being weighed: then a value inside itself is found
    known[id(data)] = MAX_VALUES
    total = 1 + sum(_weigh(item, known) for item in (data.values() if isinstance(data, dict) else data))
    if total > MAX_VALUES:
        raise BadUserData(["The YAML repeats itself too often (anchors and aliases), or is too large."])
    known[id(data)] = total
    return total


def _yaml_message(err: yaml.MarkedYAMLError, text: str) -> str:
    mark = err.problem_mark or err.context_mark
    line = 1 if mark is None else mark.line + 1
    lines = text.split("\n")
    written = lines[line - 1] if line <= len(lines) else ""
    if "\t" in written[: len(written) - len(written.lstrip())] or "'\\t'" in str(err.problem):
        return f"Line {line}: a tab is used to indent; YAML takes spaces only."
    if err.problem and "mapping values are not allowed" in err.problem:
        return f"Line {line}: a colon stands where none may be; put texts that contain ': ' into quotes."
    if err.problem and "could not determine a constructor" in err.problem:
        return f"Line {line}: tags (beginning with !) are not allowed."
    detail = " ".join(part for part in (err.problem, err.context) if part)
    return f"Line {line}: this is not YAML ({detail})."


def _checked(data: dict[Any, Any]) -> dict[str, Any]:
    """Refuse what cloud-init would stumble over for certain; its own schema is not repeated here."""
    messages = [f"The setting {key!r} is not a text; put it into quotes." for key in data if not isinstance(key, str)]
    shapes: dict[str, tuple[type | tuple[type, ...], str]] = {
        "packages": (list, "a list (one line with - per package)"),
        "runcmd": (list, "a list (one line with - per command)"),
        "bootcmd": (list, "a list (one line with - per command)"),
        "write_files": (list, "a list"),
        "ssh_authorized_keys": (list, "a list (one line with - per key)"),
        "users": ((list, str, dict), "a list"),
        "hostname": (str, "a text"),
        "fqdn": (str, "a text"),
    }
    for key, (kind, words) in shapes.items():
        if key in data and not isinstance(data[key], kind):
            messages.append(f"{key} must be {words}.")
    if messages:
        raise BadUserData(messages)
    return data


def _validate_multipart(text: str) -> list[str]:
    message = email.message_from_string(text, policy=email.policy.default)
    if not message.is_multipart():
        return ["Line 1: this begins like a multi-part document, but has no parts (is the boundary right?)."]
    messages: list[str] = []
    for position, part in enumerate(_leaves(message), start=1):
        if part.defects:
            messages.append(f"Part {position}: it is damaged ({type(part.defects[0]).__name__}).")
            continue
        content = part.get_content()
        if isinstance(content, str) and CLOUD_CONFIG in (part.get_content_type(), content_type(content)):
            messages.extend(f"Part {position}: {finding}" for finding in _validate_config(content))
    return messages


def _leaves(message: email.message.EmailMessage) -> Iterator[email.message.EmailMessage]:
    for part in message.walk():
        if not part.is_multipart():
            yield part


def dump_config(config: Mapping[str, Any]) -> str:
    """A #cloud-config text, keys in the order they come."""
    body = yaml.dump(
        dict(config), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False
    )
    return "#cloud-config\n" + body


class _Dumper(yaml.SafeDumper):
    """No anchors (people read this), and texts of several lines as blocks."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # these are line breaks for YAML too, and only quotes keep them as they are
    style = '"' if re.search("[\x85\u2028\u2029\ufeff]", text) else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def merge(generated: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Both together: settings inside settings are merged, lists joined (generated first), else the user's wins.

    An entry of `users` with the same name is merged with the generated one.
    """
    merged = dict(generated)
    for key, value in own.items():
        old = merged.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            merged[key] = merge(old, value)
        elif key == "users" and isinstance(old, list) and isinstance(value, list):
            merged[key] = _merge_users(old, value)
        elif isinstance(old, list) and isinstance(value, list):
            merged[key] = [*old, *(item for item in value if item not in old)]
        else:
            merged[key] = value
    return merged


def _merge_users(generated: list[Any], own: list[Any]) -> list[Any]:
    users = list(generated)
    for entry in own:
        name = entry.get("name") if isinstance(entry, dict) else entry
        for position, known in enumerate(users):
            if (known.get("name") if isinstance(known, dict) else known) == name:
                both = isinstance(known, dict) and isinstance(entry, dict)
                users[position] = merge(known, entry) if both else entry
                break
        else:
            users.append(entry)
    return users


def combine(generated: Mapping[str, Any], own: str) -> str:
    """One user-data text out of the generated settings and the user's own text. Raises BadUserData.

    cloud-config is merged into one readable document; any other kind becomes a part of a multi-part document.
    """
    messages = validate_user_data(own)
    if messages:
        raise BadUserData(messages)
    own = normalise(own) if own.strip() else ""
    kind = content_type(own)
    if not own:
        return dump_config(generated)
    if kind == CLOUD_CONFIG:
        return dump_config(merge(generated, parse_config(own)))
    first = dump_config(generated)
    # a boundary made from the content: the same input always gives the same text, so that a preview is the truth
    outer = MIMEMultipart(boundary="drover-" + hashlib.sha256((first + own).encode()).hexdigest()[:32])
    outer.attach(_part(CLOUD_CONFIG, first))
    outer.attach(email.message_from_string(own) if kind == MULTIPART else _part(kind, own))
    return outer.as_string()


def _part(kind: str, text: str) -> MIMEText:
    """Plain if it is ASCII, else base64: cloud-init reads 8-bit parts wrongly."""
    return MIMEText(text, kind.removeprefix("text/"), "us-ascii" if text.isascii() else "utf-8")
