"""What a view answers to htmx and to a browser without JavaScript: dialogs, jobs, small changes."""

from typing import Any, Protocol

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.template.loader import render_to_string
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import trigger_client_event

from ui.text import Text

FULL_PAGE = "components/dialog_page.html"


class JobLike(Protocol):
    pk: int
    title: str

    def get_absolute_url(self) -> str: ...


def is_partial(request: HttpRequest) -> bool:
    """Whether htmx asks for a piece of a page, and not for a page it will show as a whole."""
    htmx: Any = getattr(request, "htmx", None)
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def is_piece(request: HttpRequest) -> bool:
    """Whether htmx asks for one piece (a searched table), and not for the whole content again as after drover:done."""
    return is_partial(request) and request.htmx.target != "content"  # type: ignore[attr-defined]


def render_dialog(request: HttpRequest, template: str, context: dict[str, Any], *, status: int = 200) -> HttpResponse:
    """A dialog: the bare fragment into #dialog for htmx, else a page of its own around the same fragment.

    Give status=422 when a form in it came back invalid.
    """
    if not is_partial(request):
        fragment = render_to_string(template, context, request)
        return render(request, FULL_PAGE, {"fragment": fragment}, status=status)
    response = render(request, template, context, status=status)
    response.headers["HX-Retarget"] = "#dialog"
    response.headers["HX-Reswap"] = "morph:innerHTML"
    return response


def job_response(request: HttpRequest, job: JobLike) -> HttpResponse:
    """After a POST that made a job: the dialog closes and the dock shows it; without htmx the job's own page."""
    url = job.get_absolute_url()
    if not is_partial(request):
        return HttpResponseRedirect(url)
    response = HttpResponse(status=204)
    trigger_client_event(response, "drover:job", {"job": job.pk, "title": job.title, "url": url})
    return response


def jobs_response(request: HttpRequest, jobs: list[Any], url: str, message: Text) -> HttpResponse:
    """After a POST that made several jobs (bulk): like `job_response`, with one message."""
    if not is_partial(request):
        messages.success(request, str(message))
        return HttpResponseRedirect(url)
    response = HttpResponse(status=204)
    trigger_client_event(response, "drover:job", {"job": jobs[0].pk if jobs else 0, "title": str(message), "url": url})
    return response


def done_response(request: HttpRequest, url: str, message: Text = "") -> HttpResponse:
    """After a small POST without a job: says so and shows `url`, in place if that page is already open."""
    if is_partial(request) and request.htmx.current_url_abs_path is not None:  # type: ignore[attr-defined]
        here = request.htmx.current_url_abs_path.partition("?")[0]  # type: ignore[attr-defined]
        if here == url.partition("?")[0].partition("#")[0]:
            response = HttpResponse(status=204)
            trigger_client_event(response, "drover:done", {"message": str(message)})
            return response
    if message:
        messages.success(request, str(message))
    if not is_partial(request):
        return HttpResponseRedirect(url)
    response = HttpResponse(status=204)
    response.headers["HX-Redirect"] = url
    return response


def safe_next(request: HttpRequest, default: str) -> str:
    """Where a form asked to go afterwards, if it is an address of ours."""
    wanted = request.POST.get("next") or request.GET.get("next") or ""
    allowed = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    return wanted if allowed else default


def note_response(request: HttpRequest, message: Text, url: str, *, bad: bool = True) -> HttpResponse:
    """After a one-click POST whose page stays as it is: says in a note why it was refused, or that it was done."""
    if not is_partial(request):
        (messages.error if bad else messages.success)(request, str(message))
        return HttpResponseRedirect(url)
    response = HttpResponse(status=204)
    trigger_client_event(response, "drover:note", {"message": str(message), "bad": bad})
    return response
