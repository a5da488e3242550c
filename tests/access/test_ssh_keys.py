"""A person's public keys: pasted, shown by fingerprint, used for the VMs made next."""

import pytest
from django.test import Client
from django.urls import reverse

from access import ssh_keys
from access.models import SshKey, User
from access.people import Denied
from audit.models import Entry
from tests.api.kit import call
from tests.factories import make_user
from vms.create_form import last_time

pytestmark = pytest.mark.django_db
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDpSO0GivbUvP/8n0vMMqlGtBZp1QaWGdcTuD+mAOX2I me@laptop"
FINGERPRINT = "SHA256:Kug0LFFHZNw60QUAcH9JNWseCduUZsBdSte1CXCiyPc"  # what ssh-keygen -l said of it
OTHER = KEY.replace("mAOX2I me@laptop", "mAOX2A")


def test_it_works(client: Client, lab_user: User) -> None:
    client.force_login(lab_user)
    assert "No key yet" in client.get(reverse("access:profile")).content.decode()
    client.post(reverse("access:add_ssh_keys"), {"keys": f"# mine\n\n{KEY}\r\n"})
    text = client.get(reverse("access:profile")).content.decode()
    assert FINGERPRINT in text
    assert "me@laptop" in text
    assert last_time(lab_user)["ssh_keys"] == KEY
    key = lab_user.ssh_keys.get()
    client.post(reverse("access:remove_ssh_key", args=[key.pk]))
    assert not SshKey.objects.exists()
    told = Entry.objects.filter(kind="ssh-key").order_by("id").values_list("action", "label", "who")
    assert list(told) == [("access.ssh-key_made", "me@laptop", "lena"), ("access.ssh-key_removed", "me@laptop", "lena")]


def test_a_file_of_keys_and_no_key_twice(lab_user: User) -> None:
    assert len(ssh_keys.add(lab_user, f"{KEY}\n{KEY}\n{OTHER}").new) == 2
    again = ssh_keys.add(lab_user, KEY)
    assert (again.new, again.there) == ([], 1)
    assert [key.label for key in lab_user.ssh_keys.all()] == ["me@laptop", ""]
    assert len(ssh_keys.add(make_user("bert"), KEY).new) == 1


def test_what_is_no_key_is_refused_beside_the_field(client: Client, lab_user: User) -> None:
    client.force_login(lab_user)
    for wrong, why in (
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "This is a private key."),
        ("# nothing", "Paste at least one public key."),
        (f"{KEY}\nssh-ed25519 AAAA", "Key 2: This SSH key is damaged"),
    ):
        answer = client.post(reverse("access:add_ssh_keys"), {"keys": wrong})
        assert answer.status_code == 422
        assert why in answer.content.decode()
    assert not SshKey.objects.exists()


def test_there_is_an_end_to_it(lab_user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_keys, "MOST", 1)
    with pytest.raises(Denied, match="At most 1 keys."):
        ssh_keys.add(lab_user, f"{KEY}\n{OTHER}")


def test_others_keys_are_not_there(client: Client, lab_user: User, admin: User) -> None:
    ssh_keys.add(lab_user, KEY)
    key = lab_user.ssh_keys.get()
    client.force_login(admin)
    assert client.post(reverse("access:remove_ssh_key", args=[key.pk])).status_code == 404
    assert call(admin, "DELETE", f"/ssh-keys/{key.pk}").status_code == 404


def test_api(lab_user: User) -> None:
    (made,) = call(lab_user, "POST", "/ssh-keys", {"keys": KEY}).json()
    assert (made["kind"], made["label"], made["fingerprint"]) == ("ssh-ed25519", "me@laptop", FINGERPRINT)
    assert call(lab_user, "GET", "/ssh-keys").json() == [made]
    assert call(lab_user, "POST", "/ssh-keys", {"keys": "x"}).status_code == 409
    assert call(lab_user, "DELETE", f"/ssh-keys/{made['id']}").status_code == 204
