"""The same view answers htmx, and a browser without JavaScript."""

import json
from typing import Any

import pytest
from django.contrib.messages.storage.cookie import CookieStorage
from django.http import HttpRequest
from django.test import RequestFactory
from django_htmx.middleware import HtmxDetails

from access.models import User
from jobs.models import Job
from ui.htmx import done_response, is_partial, job_response, jobs_response, note_response, render_dialog


@pytest.fixture
def asked(rf: RequestFactory, admin: User) -> Any:
    def make(**headers: str) -> HttpRequest:
        request = rf.get("/vms/", headers={name.replace("_", "-"): value for name, value in headers.items()})
        request.user = admin
        request.htmx = HtmxDetails(request)  # type: ignore[attr-defined]
        request._messages = CookieStorage(request)  # type: ignore[attr-defined]
        return request

    return make


def test_what_is_partial(asked: Any) -> None:
    assert not is_partial(asked())
    assert is_partial(asked(HX_Request="true"))
    assert not is_partial(asked(HX_Request="true", HX_Boosted="true"))
    assert not is_partial(asked(HX_Request="true", HX_History_Restore_Request="true"))


def test_a_dialog_is_a_page_without_javascript(asked: Any) -> None:
    from access.forms import TokenForm

    context = {"form": TokenForm()}
    page = render_dialog(asked(), "access/_token_dialog.html", context)
    assert "<html" in page.content.decode()
    assert "<form" in page.content.decode()
    fragment = render_dialog(asked(HX_Request="true"), "access/_token_dialog.html", context, status=422)
    assert "<html" not in fragment.content.decode()
    assert (fragment.status_code, fragment.headers["HX-Retarget"]) == (422, "#dialog")


def test_a_job(asked: Any) -> None:
    job = Job.objects.create(operation="x", title="Start <b>")
    assert job_response(asked(), job).headers["Location"] == job.get_absolute_url()
    answer = job_response(asked(HX_Request="true"), job)
    assert answer.status_code == 204
    assert json.loads(answer.headers["HX-Trigger"]) == {
        "drover:job": {"job": job.pk, "title": "Start <b>", "url": job.get_absolute_url()}
    }
    many = jobs_response(asked(HX_Request="true"), [job], "/vms/", "2 jobs")
    assert json.loads(many.headers["HX-Trigger"])["drover:job"]["title"] == "2 jobs"


def test_done_stays_on_the_page_it_changed(asked: Any) -> None:
    assert done_response(asked(), "/vms/", "Done").headers["Location"] == "/vms/"
    here = done_response(asked(HX_Request="true", HX_Current_URL="http://testserver/vms/?page=2"), "/vms/", "Done")
    assert json.loads(here.headers["HX-Trigger"]) == {"drover:done": {"message": "Done"}}
    away = done_response(asked(HX_Request="true", HX_Current_URL="http://testserver/vms/1/"), "/vms/", "Done")
    assert away.headers["HX-Redirect"] == "/vms/"


def test_a_refusal_is_a_note(asked: Any) -> None:
    answer = note_response(asked(HX_Request="true"), "Too late", "/vms/")
    assert json.loads(answer.headers["HX-Trigger"]) == {"drover:note": {"message": "Too late", "bad": True}}
    assert note_response(asked(), "Too late", "/vms/").headers["Location"] == "/vms/"
