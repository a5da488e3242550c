"""The chain: sealed in order by many writers, checked to the first wrong entry, forgotten from its beginning."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from audit import chain
from audit.entries import record
from audit.models import Chain, Entry
from audit.verify import verify

pytestmark = pytest.mark.django_db
WRITERS, EACH = 8, 12


def write(count: int = 6, **more: Any) -> list[Entry]:
    """Entries 1 to `count`, sealed."""
    for number in range(count):
        record("test.act", f"Act {number}", details={"memory_bytes": number, "names": ["a", "ü"]}, **more)
    chain.seal()
    return list(Entry.objects.order_by("number"))


def test_it_works() -> None:
    rows = write()
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.previous for row in rows[1:]] == [row.digest for row in rows[:-1]]
    verdict = verify()
    assert (verdict.wrong, verdict.checked, verdict.first, verdict.last) == ("", 6, 1, 6)


def test_nothing_yet() -> None:
    assert verify().wrong == ""
    call_command("audit", "verify")


def change(**values: Any) -> Callable[[], Any]:
    return lambda: Entry.objects.filter(number=4).update(**values)


def insert() -> None:
    """Room is made in the middle, and a new entry copies what it can."""
    for number in (6, 5, 4):
        Entry.objects.filter(number=number).update(number=number + 1)
    old = Entry.objects.get(number=3)
    Entry.objects.create(text="Never", action="test.act", number=4, previous=old.digest, digest="f" * 64)


def swap() -> None:
    for old, new in ((4, 99), (5, 4), (99, 5)):
        Entry.objects.filter(number=old).update(number=new)


def close_gap() -> None:
    Entry.objects.filter(number=4).delete()
    for number in (5, 6):
        Entry.objects.filter(number=number).update(number=number - 1)


@pytest.mark.parametrize(
    ("do", "number", "says"),
    [
        (change(text="Nothing happened"), 4, "was changed"),
        (change(who="eve"), 4, "was changed"),
        (change(details={"memory_bytes": 0}), 4, "was changed"),
        (change(at=timezone.now() - timedelta(days=9)), 4, "was changed"),
        (change(result="failed", reason="x"), 4, "was changed"),
        (change(person_key=7), 4, "was changed"),
        (change(previous="0" * 64), 4, "was changed"),
        (insert, 4, "was changed, or put in"),
        (swap, 4, "was changed"),
        (close_gap, 4, "was changed"),
        (lambda: Entry.objects.filter(number=4).delete(), 4, "Entry 4 is missing."),
        (lambda: Entry.objects.filter(number__in=[3, 4]).delete(), 3, "Entry 3 is missing, and all up to 4."),
        (lambda: Entry.objects.filter(number=1).delete(), 1, "Entry 1 is missing."),
        (lambda: Entry.objects.filter(number=6).delete(), 6, "Entry 6 is missing."),
        (lambda: Entry.objects.all().delete(), 1, "all up to 6"),
        (lambda: Entry.objects.create(text="x", number=7, digest="f" * 64), 7, "after the end"),
        (lambda: Entry.objects.create(text="x", number=0), 0, "before the beginning"),
        (lambda: Chain.objects.update(number=5), None, "where the chain ends was changed"),
        (lambda: Chain.objects.all().delete(), None, "was changed or removed"),
    ],
)
def test_what_was_done_to_it_is_found(do: Callable[[], Any], number: int | None, says: str) -> None:
    write()
    do()
    verdict = verify()
    assert says in verdict.wrong
    assert verdict.number == number
    with pytest.raises(SystemExit) as ended:
        call_command("audit", "verify")
    assert ended.value.code == 1


def test_an_old_end_put_back_is_found_by_the_note_beside_the_database() -> None:
    """The row of the end with its signature was copied before, the newest entries go, and the copy comes back."""
    write(3)
    old = Chain.objects.values().get(pk=1)
    write(2)
    Entry.objects.filter(number__gt=3).delete()
    Chain.objects.filter(pk=1).update(**old)
    assert "Entry 4 is missing, and all up to 5." in verify().wrong


def test_after_a_restored_backup_it_can_be_accepted() -> None:
    test_an_old_end_put_back_is_found_by_the_note_beside_the_database()
    call_command("audit", "accept", "--reason", "restored the backup of Monday")
    chain.seal()
    assert verify().wrong == ""
    newest = Entry.objects.order_by("-number").first()
    assert newest is not None
    assert newest.reason == "restored the backup of Monday"
    assert "Entry 4 is missing" in newest.details["before"]


def test_without_the_key_no_entry_can_be_made(settings: Any) -> None:
    """Who can write to the database makes the rest of the chain anew, with another key."""
    write()
    key, settings.SECRET_KEY = settings.SECRET_KEY, "another"
    previous = Entry.objects.get(number=3).digest
    for row in Entry.objects.filter(number__gt=3).order_by("number"):
        row.previous = previous
        row.digest = previous = chain.digest_of(row.facts(), row.previous, settings.SECRET_KEY)
        row.save()
    settings.SECRET_KEY = key
    verdict = verify()
    assert (verdict.number, "was changed" in verdict.wrong) == (4, True)


def test_a_new_key_goes_on_with_the_old_chain(settings: Any) -> None:
    write(3)
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "the new key"
    write(3)
    assert (verify().wrong, verify().checked) == ("", 6)
    settings.SECRET_KEY_FALLBACKS = []
    assert verify().number == 1


def test_old_entries_go_and_the_rest_can_be_checked() -> None:
    write(10)
    old = timezone.now() - timedelta(days=40)
    Entry.objects.all().delete()
    Chain.objects.all().delete()
    for number in range(10):
        record("test.act", f"Act {number}")
        if number < 6:
            Entry.objects.filter(text=f"Act {number}").update(at=old + timedelta(minutes=number))
    chain.seal()
    assert chain.forget_old(0) == 0
    assert chain.forget_old(30) == 6
    assert chain.forget_old(30) == 0
    verdict = verify()
    assert (verdict.wrong, verdict.checked, verdict.first, verdict.last) == ("", 4, 7, 10)
    Entry.objects.filter(number=7).delete()
    assert "Entry 7 is missing." in verify().wrong


def test_all_may_be_old() -> None:
    write(3)
    Entry.objects.all().delete()
    Chain.objects.all().delete()
    record("test.act", "x")
    Entry.objects.update(at=timezone.now() - timedelta(days=2))
    chain.seal()
    assert chain.forget_old(1) == 1
    assert verify().wrong == ""
    write(2)
    assert (verify().wrong, verify().checked) == ("", 2)


@pytest.mark.thorough
@pytest.mark.django_db(transaction=True)
def test_many_write_at_once() -> None:
    """Every entry gets one place; one whose transaction is undone gets none, and leaves no gap."""
    troubles: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for turn in range(EACH):
                record("test.act", f"{name} {turn}")
                with transaction.atomic():
                    record("test.act", f"{name} {turn} inside")
                try:
                    with transaction.atomic():
                        record("test.act", "undone")
                        raise ZeroDivisionError
                except ZeroDivisionError:
                    continue
        except DatabaseError as trouble:
            troubles.append(trouble)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(f"writer {number}",)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    assert not Entry.objects.filter(text="undone").exists()
    assert not Entry.objects.filter(number=None).exists()
    verdict = verify()
    assert (verdict.wrong, verdict.checked) == ("", WRITERS * EACH * 2)


@pytest.mark.postgres  # SQLite has one writer at a time, whatever is written
@pytest.mark.django_db(transaction=True)
def test_a_long_transaction_keeps_nobody_waiting() -> None:
    """Others write, seal and check while one that has written goes on; its entry comes when it is committed."""
    told, go_on = threading.Event(), threading.Event()

    def work() -> None:
        with transaction.atomic():
            record("test.act", "long")
            told.set()
            go_on.wait(10)
        connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    assert told.wait(10)
    record("test.act", "short")
    assert [row.text for row in Entry.objects.order_by("number")] == ["short"]
    go_on.set()
    thread.join()
    assert [row.text for row in Entry.objects.order_by("number")] == ["short", "long"]
    assert verify().wrong == ""


@pytest.mark.django_db(transaction=True)
def test_what_a_killed_process_left_the_clock_seals(monkeypatch: pytest.MonkeyPatch) -> None:
    from audit.tasks import seal

    with monkeypatch.context() as patched:
        patched.setattr(chain, "seal", lambda: 0)
        record("test.act", "left")
    assert verify().unsealed == 1
    seal()
    assert (verify().unsealed, verify().checked, verify().wrong) == (0, 1, "")
