"""Loaded before Django's settings (`-p tests.early`): tests never touch the running product's folder."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if "DROVER_TEST_VAR" in os.environ:
    _folder = Path(os.environ["DROVER_TEST_VAR"])
    _folder.mkdir(parents=True, exist_ok=True)
else:
    _folder = Path(tempfile.mkdtemp(prefix="drover-test-"))
    atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ["DROVER_VAR"] = str(_folder)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cluster.settings")
