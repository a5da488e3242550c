"""Loaded before Django's settings (`-p tests.early`): tests never touch the running product's folder."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

if "DROVER_TEST_VAR" not in os.environ:
    os.environ["DROVER_TEST_VAR"] = tempfile.mkdtemp(prefix="drover-test-")
    atexit.register(shutil.rmtree, os.environ["DROVER_TEST_VAR"], ignore_errors=True)
# each of several processes of one run (pytest-xdist) has a part of it
_folder = Path(os.environ["DROVER_TEST_VAR"]) / os.environ.get("PYTEST_XDIST_WORKER", "")
_folder.mkdir(parents=True, exist_ok=True)
os.environ["DROVER_VAR"] = str(_folder)
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "cluster.settings")
