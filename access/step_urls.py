"""Addresses by the names that allauth's steps know them by. All its other pages are left out."""

from django.apps import apps
from django.urls import URLPattern, path, reverse_lazy

urlpatterns: list[URLPattern] = []
if apps.is_installed("allauth.account"):
    from allauth.account.views import ReauthenticateView
    from allauth.mfa.base.views import AuthenticateView
    from allauth.mfa.base.views import ReauthenticateView as ReauthenticateByCode
    from allauth.mfa.recovery_codes.views import GenerateRecoveryCodesView, ViewRecoveryCodesView
    from allauth.mfa.totp.views import ActivateTOTPView, DeactivateTOTPView
    from allauth.mfa.webauthn.views import AddWebAuthnView, ReauthenticateWebAuthnView, RemoveWebAuthnView

    from access import factor_views, login_views
    from access.factors import asked_again, with_a_way

    OWN = "profile/second-factor"
    index = reverse_lazy("mfa_index")
    again = {"template_name": "access/ask_again.html"}
    by_password = with_a_way(ReauthenticateView.as_view(**again))
    by_code = with_a_way(ReauthenticateByCode.as_view(**again))
    by_passkey = with_a_way(ReauthenticateWebAuthnView.as_view(**again))
    app = ActivateTOTPView.as_view(template_name="access/factor_app.html")
    no_app = DeactivateTOTPView.as_view(template_name="access/factor_remove.html")
    passkey = AddWebAuthnView.as_view(template_name="access/factor_passkey.html")
    no_passkey = RemoveWebAuthnView.as_view(template_name="access/factor_remove.html", success_url=index)
    codes = ViewRecoveryCodesView.as_view(template_name="access/factor_codes.html")
    new_codes = GenerateRecoveryCodesView.as_view(template_name="access/factor_new_codes.html")
    urlpatterns += [
        path("login", login_views.login, name="account_login"),
        path(
            "login/second-factor",
            AuthenticateView.as_view(template_name="access/second_factor.html"),
            name="mfa_authenticate",
        ),
        path("profile/ask-again", by_password, name="account_reauthenticate"),
        path("profile/ask-again/code", by_code, name="mfa_reauthenticate"),
        path("profile/ask-again/passkey", by_passkey, name="mfa_reauthenticate_webauthn"),
        path(OWN, factor_views.index, name="mfa_index"),
        path(f"{OWN}/app", asked_again(app), name="mfa_activate_totp"),
        path(f"{OWN}/app/remove", asked_again(no_app), name="mfa_deactivate_totp"),
        path(f"{OWN}/passkeys/add", asked_again(passkey), name="mfa_add_webauthn"),
        path(f"{OWN}/passkeys/<int:pk>/remove", asked_again(no_passkey), name="mfa_remove_webauthn"),
        path(f"{OWN}/codes", asked_again(codes), name="mfa_view_recovery_codes"),
        path(f"{OWN}/codes/new", asked_again(new_codes), name="mfa_generate_recovery_codes"),
    ]
