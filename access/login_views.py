"""The login page. What comes after the password, allauth's steps say (access.signing_in)."""

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from access.forms import LoginForm
from access.models import User
from access.signing_in import by_password
from ui.forms import posted
from ui.htmx import safe_next


@login_not_required
@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "POST"])
def login(request: HttpRequest) -> HttpResponse:
    url = safe_next(request, reverse(settings.LOGIN_REDIRECT_URL))
    if request.user.is_authenticated:
        return redirect(url)
    form = LoginForm(request, data=posted(request))
    if form.is_bound and form.is_valid():
        person = form.get_user()
        if isinstance(person, User):
            return by_password(request, person, url)
    context = {
        "form": form,
        "next": safe_next(request, ""),
        "oidc": settings.OIDC_NAME if settings.OIDC_URL else "",
    }
    return render(request, "access/login.html", context)
