"""Fixtures for every test: people, a channel layer in memory, the lab."""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from channels.layers import channel_layers
from django.conf import settings as django_settings
from django.test import Client
from xdist.scheduler import LoadFileScheduling

from access import duties
from access.models import Role, User
from hosts import onboarding
from hosts.models import Host
from tests import labkit
from tests.clusterkit import Cluster
from tests.product import Product
from virt import ssh

hypothesis.settings.register_profile("drover", deadline=None)  # a busy machine is no defect
hypothesis.settings.load_profile("drover")
# Of the lab: they begin early, so that none is left to one worker at the end while the others have nothing to do. But
# after the tests with a database of their own: those define pools, which a running Drover would have defined already,
# and Django's database does not work in a process in which a browser's driver has begun.
TESTS_OF_THE_LAB = "tests/lab/"
LONG = (
    "tests/e2e/test_debian.py",
    TESTS_OF_THE_LAB,
    "tests/faults/test_migration.py",
    "tests/vms/test_migration_options_lab.py",
    "tests/faults/test_torn.py",
    "tests/cluster/test_watch_lab.py",
    "tests/e2e/test_class.py",
)
VM_HOSTS = ("vmhost1", "vmhost2", "vmhost3")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: (not has_database(item), places.get(together(item.location[0]), len(LONG))))


class LabScheduling(LoadFileScheduling):
    """A file stays in one process; so do all of tests/lab, which have a lab of their own."""

    def _split_scope(self, nodeid: str) -> str:
        return together(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return LabScheduling(config, log) if config.getoption("dist") == "loadfile" else None


def together(file: str) -> str:
    return TESTS_OF_THE_LAB if file.startswith(TESTS_OF_THE_LAB) else file


def has_database(item: pytest.Item) -> bool:
    return item.get_closest_marker("django_db") is not None or "db" in getattr(item, "fixturenames", ())


@pytest.fixture(autouse=True, scope="session")
def _in_memory_layer() -> None:
    """For all tests at once: a message that one test published may be sent between it and the next."""
    django_settings.CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
    channel_layers.backends.clear()


@pytest.fixture(autouse=True, scope="session")
def _no_counting() -> None:
    """Calls of the API are counted in Redis: where the tests have one, by tests of their own."""
    django_settings.API_CALLS_PER_MINUTE = django_settings.API_STRANGERS_PER_MINUTE = 0


@pytest.fixture(autouse=True)
def _quick_passwords(settings: Any) -> None:
    """The real hasher takes a third of a second on purpose: that would be most of the time of the fast tests."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _rules_of_this_test() -> None:
    duties.rules.forget()


@pytest.fixture
def admin(db: None) -> User:
    return User.objects.create_user("ada", password="correct horse 7", role=Role.ADMINISTRATOR)


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_user("oskar", password="correct horse 7", role=Role.OPERATOR)


@pytest.fixture
def lab_user(db: None) -> User:
    return User.objects.create_user("lena", password="correct horse 7", role=Role.USER)


@pytest.fixture
def admin_client(admin: User, client: Client) -> Client:
    client.force_login(admin)
    return client


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[labkit.Lab]:
    """Three VM hosts and a Gluster volume, for the whole run; see tests/labkit.py."""
    given = os.environ.get("DROVER_TEST_LAB")
    if given:
        yield labkit.running(Path(given))
        return
    folder = tmp_path_factory.mktemp("lab")
    try:
        yield labkit.start(folder)
    finally:
        labkit.stop(folder)


@pytest.fixture(scope="session")
def lab_keys(lab: labkit.Lab) -> dict[str, list[tuple[str, str]]]:
    """Drover's key installed on the lab's VM hosts; their host keys by name, as `Host.host_keys` holds them."""
    public = ssh.ensure_key(Path(django_settings.SSH_DIR))
    keys = {}
    for name in VM_HOSTS:
        lab.ssh(name, f"grep -qxF '{public}' .ssh/authorized_keys || echo '{public}' >> .ssh/authorized_keys")
        keys[name] = [(key.kind, key.blob) for key in ssh.scan_keys(lab.address(name))]
    return keys


@pytest.fixture
def lab_hosts(lab: labkit.Lab, lab_keys: dict[str, list[tuple[str, str]]], db: None) -> list[Host]:
    """The lab's VM hosts as managed hosts of Drover."""
    return [onboarding.register(name, address=lab.address(name), host_keys=lab_keys[name]) for name in VM_HOSTS]


@pytest.fixture(scope="session")
def cluster(lab: labkit.Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A whole running Drover (processes of its own) with the lab's hosts, shared pool and tiny image."""
    product = Product(tmp_path_factory.mktemp("product"))
    try:
        product.start()
        product.manage("lab_adopt", str(_without_full_hosts(lab, tmp_path_factory.mktemp("adopted"))))
        yield Cluster(product, lab)
    finally:
        product.stop()


def _without_full_hosts(lab: labkit.Lab, folder: Path) -> Path:
    """A lab.json of the hosts every lab has: whether the NFS test ran before must not change what others see."""
    facts = {**lab.facts, "hosts": {name: one for name, one in lab.facts["hosts"].items() if one["kind"] != "full"}}
    shutil.copy(lab.file.with_name("known_hosts"), folder)
    path = folder / "lab.json"
    path.write_text(json.dumps(facts))
    return path


@pytest.fixture(scope="session")
def redis_socket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A Redis of the tests' own."""
    path = tmp_path_factory.mktemp("redis") / "redis.sock"
    words = ["--unixsocket", str(path), "--port", "0", "--save", "", "--loglevel", "warning"]
    process = subprocess.Popen(["redis-server", *words], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    yield path
    process.terminate()
    process.wait()
