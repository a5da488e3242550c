"""Who is told what about a request, in Drover and by a real mail."""

from datetime import timedelta

import pytest
from django.utils import timezone

from access.models import Role, User
from jobs.models import Job
from jobs.states import State
from notices import delivery
from notices.models import Notice
from selfservice import deciding, telling
from selfservice.models import Request
from selfservice.states import RequestState, Step
from selfservice.steps import change
from tests.factories import give, make_group, make_user
from tests.mailkit import Mailbox, text_of
from tests.selfservice.kit import ask, make_offer

pytestmark = pytest.mark.django_db
S = RequestState


@pytest.fixture
def approver(db: None) -> User:
    return make_user("petra", Role.APPROVER)


def told(kind: str) -> dict[str, str]:
    return {row.user.username: row.title for row in Notice.objects.filter(kind=kind).select_related("user")}


def test_it_works(admin: User, lab_user: User, approver: User) -> None:
    request = ask(lab_user, make_offer(admin), pattern="web-##", count=2, reason="for <b>fun</b>\nand more")
    title = "lena asks for 2 VMs “web-##” of Tiny Linux"
    assert told("inbox") == {"petra": title, "ada": title}
    row = Notice.objects.get(user=approver)
    assert (row.lines, row.url) == (["for <b>fun</b>", "and more"], request.get_absolute_url())
    deciding.approve(request, approver, why="have fun", changes={"vcpus": 2})
    row = Notice.objects.get(user=lab_user)
    assert row.title == "Your request for web-## is approved"
    assert row.lines == ["have fun Changed: vCPUs 2.", "by petra"]
    assert not Notice.objects.filter(kind="inbox", read_at=None).exists()  # nobody has to decide it any more


def test_rejected(admin: User, lab_user: User, approver: User) -> None:
    request = ask(lab_user, make_offer(admin))
    deciding.reject(request, approver, "Not before Monday.\nAsk again.")
    row = Notice.objects.get(user=lab_user)
    assert (row.title, row.lines) == (
        "Your request for web is rejected",
        ["Not before Monday.", "Ask again.", "by petra"],
    )


def test_who_may_decide_and_nobody_else(admin: User, lab_user: User, operator: User, approver: User) -> None:
    group, other = make_group("Networks", lab_user, manager=make_user("mara")), make_group("Others")
    course = make_user("carl")
    by_group = make_group("Tutors", make_user("tom"))
    give(course, Role.APPROVER, group)
    give(make_user("olga"), Role.APPROVER, other)
    give(by_group, Role.APPROVER)
    ended = give(make_user("eva"), Role.APPROVER)
    ended.until = timezone.now() - timedelta(minutes=1)
    ended.save()
    gone = make_user("gone", Role.APPROVER)
    gone.is_active = False
    gone.save()
    request = ask(lab_user, make_offer(admin), group=group)
    names = {one.username for one in telling.deciders(request)}
    assert names == {"ada", "petra", "carl", "tom"}
    assert names == {one.username for one in User.objects.all() if request in deciding.undecided(one)}
    own = ask(approver, make_offer(admin, "Another"))
    assert {one.username for one in telling.deciders(own)} == {"ada", "tom"}


def test_what_needs_nobody_tells_nobody_until_it_is_ready(admin: User, lab_user: User, approver: User) -> None:
    request = ask(lab_user, make_offer(admin, approval="limits"))
    assert request.state == S.APPROVED
    assert not Notice.objects.exists()


def test_ready(admin: User, lab_user: User) -> None:
    request = approved(admin, lab_user)
    change(request, S.BUILDING, Step.BEGUN, by=None)
    change(request, S.READY, Step.READY, by=None, until=timezone.now() + timedelta(days=14))
    row = Notice.objects.get(user=lab_user, kind="request", title="web is ready")
    assert row.lines[0].startswith("Until ")


def approved(admin: User, asker: User) -> Request:
    request = ask(asker, make_offer(admin, approval="limits"))
    request.refresh_from_db()
    return request


def test_failed_in_plain_words_and_in_full(admin: User, lab_user: User, approver: User) -> None:
    request = approved(admin, lab_user)
    assert request.job is not None
    Job.objects.create(
        operation="vms.create",
        title="Create web",
        parent=request.job,
        state=State.FAILED,
        error="No room.",
        technical="x7",
    )
    change(request, S.FAILED, Step.FAILED, by=None, why="The VM could not be made.")
    mine = Notice.objects.get(user=lab_user)
    assert mine.title == "web could not be built"
    assert mine.lines[0] == "The VM could not be made."
    assert "No room" not in mine.body
    theirs = Notice.objects.get(user=admin, kind="trouble")
    assert theirs.lines == ["The VM could not be made.", "Create web: No room. x7", "The job has the rest."]
    assert theirs.url == request.job.get_absolute_url()
    assert not Notice.objects.filter(user=approver).exists()


def test_given_up_by_somebody_else(admin: User, lab_user: User, approver: User) -> None:
    request = approved(admin, lab_user)
    change(request, S.FAILED, Step.FAILED, by=None, why="x")
    deciding.give_up(request, approver)
    assert Notice.objects.filter(user=lab_user, title="petra has given up building web").exists()


def test_escalated_once_and_settled_by_the_answer(admin: User, lab_user: User, approver: User) -> None:
    request = ask(lab_user, make_offer(admin))
    Request.objects.update(asked_at=timezone.now() - timedelta(days=3))
    deciding.escalate()
    deciding.escalate()
    found = Notice.objects.filter(user=approver, title="lena still waits for an answer")
    assert found.get().lines == ["1 VM “web” of Tiny Linux", "Nobody has answered for 24 hours."]
    request.refresh_from_db()
    deciding.withdraw(request, lab_user)
    assert not Notice.objects.unread().exists()


def test_by_mail(admin: User, lab_user: User, approver: User, mailbox: Mailbox) -> None:
    for person in (lab_user, approver):
        person.email = f"{person.username}@example.org"
        person.save()
    request = ask(lab_user, make_offer(admin))
    assert delivery.send_due() == 1
    assert mailbox.receivers == ["petra@example.org"]
    deciding.reject(request, approver, "Not before Monday.")
    assert delivery.send_due() == 1
    mail = mailbox.mails[-1]
    assert mail["To"] == "lena <lena@example.org>"
    assert mail["Subject"] == "Your request for web is rejected"
    assert f"https://drover.example{request.get_absolute_url()}" in text_of(mail)
    assert "Not before Monday." in text_of(mail)


def test_what_is_decided_before_its_mail_left_is_not_mailed(
    admin: User, lab_user: User, approver: User, mailbox: Mailbox
) -> None:
    User.objects.filter(pk=approver.pk).update(email="petra@example.org")
    request = ask(lab_user, make_offer(admin))
    deciding.withdraw(request, lab_user)
    assert delivery.send_due() == 0
    assert not mailbox.mails
