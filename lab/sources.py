"""The machine's own package sources, in the form that mmdebstrap wants for building a root image."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lab.errors import LabError
from lab.system import run, write

APT = Path("/etc/apt")


@dataclass
class Source:
    """One archive: address, suite, components and the options that matter elsewhere too."""

    uri: str
    suite: str
    components: list[str]
    options: dict[str, str] = field(default_factory=dict)

    def line(self, keys: Path) -> str:
        """As a one-line source; a key that stands inside the source is written to `keys` first."""
        options = dict(self.options)
        key = options.get("signed-by", "")
        if "BEGIN PGP" in key:
            file = keys / f"{re.sub(r'[^a-z0-9]+', '-', f'{self.uri}{self.suite}'.lower())}.asc"
            write(file, "\n".join("" if part.strip() == "." else part for part in key.split("\n")))
            options["signed-by"] = str(file)
        given = " ".join(f"{name}={','.join(value.split())}" for name, value in options.items())
        return " ".join(["deb", *([f"[{given}]"] if given else []), self.uri, self.suite, *self.components])


def codename() -> str:
    """bookworm, trixie, noble ...: the release of this machine."""
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return shlex.split(line.partition("=")[2])[0]
    raise LabError("/etc/os-release names no VERSION_CODENAME: the lab needs Debian or Ubuntu")


def distribution() -> list[Source]:
    """The machine's sources of its own release: no backports, no third parties."""
    release = codename()
    suites = {f"{release}{end}" for end in ("", "-updates", "-security", "/updates")}
    found = [source for source in _all() if source.suite in suites and "main" in source.components]
    if release not in {source.suite for source in found}:
        raise LabError(f"apt's sources on this machine name no archive for {release}")
    return found


def options() -> list[str]:
    """Options for mmdebstrap: the machine's proxy and transport settings, and its passwords for archives."""
    lines = run(["apt-config", "dump", "--format", '%F "%v";%n']).splitlines()
    acquire = [line for line in lines if re.match(r"Acquire::(http|https|ftp|ForceIPv|Retries)[^ ]* \"[^\"]+\"", line)]
    words = [f"--aptopt={line}" for line in acquire]
    for secret in [APT / "auth.conf", *sorted((APT / "auth.conf.d").glob("*.conf"))]:
        if secret.is_file():
            words.append(f'--setup-hook=mkdir -p "$1{secret.parent}" && cp {shlex.quote(str(secret))} "$1{secret}"')
    return words


def _all() -> Iterator[Source]:
    parts = sorted((APT / "sources.list.d").glob("*")) if (APT / "sources.list.d").is_dir() else []
    for file in [APT / "sources.list", *parts]:
        if file.suffix == ".list" and file.is_file():
            yield from parse_list(file.read_text())
        elif file.suffix == ".sources":
            yield from parse_deb822(file.read_text())


def parse_list(text: str) -> Iterator[Source]:
    """Sources in the one-line form: `deb [options] uri suite components`."""
    for raw in text.splitlines():
        match = re.match(r"\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", raw)
        if match:
            pairs = [pair.partition("=") for pair in (match[1] or "").split()]
            given = {name.lower(): value for name, _, value in pairs}
            yield Source(match[2], match[3], match[4].split(), _useful(given))


def parse_deb822(text: str) -> Iterator[Source]:
    """Sources in stanzas of `Field: value`, as .sources files have them."""
    clean = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", clean):
        fields = {
            name.lower(): value.strip() for name, value in re.findall(r"(?m)^(\S+?):((?:.*)(?:\n[ \t].*)*)", stanza)
        }
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {
            "no",
            "false",
            "0",
        }:
            continue
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, fields.get("components", "").split(), _useful(fields))


def _useful(given: dict[str, str]) -> dict[str, str]:
    """The options that still mean something inside a root image being built."""
    kept = {name: given[name] for name in ("signed-by", "trusted", "check-valid-until") if given.get(name)}
    if "BEGIN PGP" in kept.get("signed-by", ""):
        kept["signed-by"] = "\n".join(line.strip() for line in kept["signed-by"].splitlines())
    return kept
