"""Single sign-on by OpenID Connect: allauth's provider, with one address to come back to and our own people.

A person is found by the provider's address and its subject, and by nothing else: no e-mail address, verified or not,
and no name leads to a person who is there already.
"""

from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount import providers
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthError, AuthProcess
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST
from requests import RequestException

from access import outside
from access.names import free_name
from access.signing_in import sent_back
from access.ways import WAY
from ui.htmx import safe_next


class Client(OpenIDConnectOAuth2Adapter):
    """How the provider is asked."""

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return request.build_absolute_uri(reverse("access:oidc_callback"))


class Provider(OpenIDConnectProvider):
    oauth2_adapter_class = Client

    def get_callback_url(self) -> str:
        return reverse("access:oidc_callback")


class Adapter(DefaultSocialAccountAdapter):
    """allauth's side of people who come from elsewhere."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: SocialLogin) -> bool:
        return True

    def can_authenticate_by_email(self, login: SocialLogin, email: str) -> bool:
        return False

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None
    ) -> None:
        if error == AuthError.CANCELLED:
            reason = _("Logging in with %(name)s was cancelled there.") % {"name": settings.OIDC_NAME}
        elif exception is not None:
            reason = _("Logging in with %(name)s did not work: it does not answer as it should. Try again.") % {
                "name": settings.OIDC_NAME
            }
        else:
            reason = _("This login took too long or began elsewhere. Try again.")
        raise ImmediateHttpResponse(sent_back(request, reason))

    @transaction.atomic
    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        if sociallogin.is_existing and getattr(sociallogin.user, "is_active", False):
            _take_over(sociallogin)
        request.session[WAY] = "oidc"

    @transaction.atomic
    def save_user(self, request: HttpRequest, sociallogin: SocialLogin, form: Any = None) -> Any:
        person: Any = sociallogin.user
        person.set_unusable_password()
        person.username = free_name(person.username)
        person.first_name, person.last_name = person.first_name[:150], person.last_name[:150]
        sociallogin.email_addresses = []  # kept on the person only: it proves nothing here
        sociallogin.save(request)
        _take_over(sociallogin)
        return person


providers.registry.register(Provider)


def _take_over(sociallogin: SocialLogin) -> None:
    """Role and groups, from both of what the provider tells."""
    told = sociallogin.account.extra_data
    names = [
        name for part in ("id_token", "userinfo") for name in outside.names_in(told.get(part), settings.OIDC_CLAIM)
    ]
    outside.apply(sociallogin.user, names, outside.of_oidc())


def _client(request: HttpRequest) -> Client:
    apps = settings.SOCIALACCOUNT_PROVIDERS["openid_connect"]["APPS"]
    if not apps:
        raise Http404
    return Client(request, apps[0]["provider_id"])


@login_not_required
@never_cache
@require_POST
def begin(request: HttpRequest) -> HttpResponseBase:
    """To the provider. By a page that goes on by itself: our policy lets forms lead nowhere else, and so it stays."""
    provider = _client(request).get_provider()
    try:
        answer = provider.redirect(request, process=AuthProcess.LOGIN, next_url=safe_next(request, "/"))
    except (RequestException, KeyError):
        reason = _("Logging in with %(name)s did not work: it does not answer as it should. Try again.") % {
            "name": settings.OIDC_NAME
        }
        return sent_back(request, reason)
    if not isinstance(answer, HttpResponseRedirect) or not answer.url.startswith(("https://", "http://")):
        return answer
    return render(request, "access/oidc.html", {"url": answer.url, "name": settings.OIDC_NAME})


@login_not_required
@never_cache
@require_GET
def callback(request: HttpRequest) -> HttpResponse:
    """Back from the provider."""
    client = _client(request)
    if request.user.is_authenticated:
        return redirect("cluster:overview")
    try:
        answer: HttpResponse = OAuth2CallbackView.adapter_view(client)(request)
    except (KeyError, ValueError, AttributeError):  # an answer without what must be in it
        reason = _("Logging in with %(name)s did not work: it does not answer as it should. Try again.") % {
            "name": settings.OIDC_NAME
        }
        return sent_back(request, reason)
    return answer
