"""The end of the chain is kept beside each test's own database."""

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _own_head(settings: Any, tmp_path: Path) -> None:
    settings.AUDIT_HEAD_FILE = tmp_path / "audit-head"
