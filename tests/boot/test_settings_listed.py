"""`.env.example` lists every setting there is, and no other."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
INTERNAL = {"DROVER_HTTPS", "DROVER_PAGES", "DROVER_CONSOLE", "DROVER_MAKE"}  # set by what starts them


def test_it_works() -> None:
    sources = [*ROOT.glob("cluster/*.py"), *ROOT.glob("cluster/management/commands/*.py"), *ROOT.glob("scripts/*.py")]
    text = "\n".join(path.read_text() for path in sources)
    read = set(re.findall(r'(?:env_\w+|environ\.get)\(\s*"([A-Z_]+)"', text)) - INTERNAL
    listed = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert read == listed
