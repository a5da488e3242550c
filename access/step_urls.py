"""Addresses by the names that allauth's steps know them by. All its other pages are left out."""

from django.apps import apps
from django.urls import URLPattern, path, reverse_lazy

urlpatterns: list[URLPattern] = []
if apps.is_installed("allauth.account"):
    from access import factor_views, login_views
    from access.factors import asked_again, with_a_way
    from access.later import later

    MFA, OWN, AGAIN = "allauth.mfa", "profile/second-factor", "access/ask_again.html"
    index = reverse_lazy("mfa_index")
    step = later(f"{MFA}.base.views.AuthenticateView", is_open=True, template_name="access/second_factor.html")
    by_password = later("allauth.account.views.ReauthenticateView", with_a_way, template_name=AGAIN)
    by_code = later(f"{MFA}.base.views.ReauthenticateView", with_a_way, template_name=AGAIN)
    by_passkey = later(f"{MFA}.webauthn.views.ReauthenticateWebAuthnView", with_a_way, template_name=AGAIN)
    app = later(f"{MFA}.totp.views.ActivateTOTPView", asked_again, template_name="access/factor_app.html")
    no_app = later(f"{MFA}.totp.views.DeactivateTOTPView", asked_again, template_name="access/factor_remove.html")
    passkey = later(f"{MFA}.webauthn.views.AddWebAuthnView", asked_again, template_name="access/factor_passkey.html")
    no_passkey = later(
        f"{MFA}.webauthn.views.RemoveWebAuthnView",
        asked_again,
        template_name="access/factor_remove.html",
        success_url=index,
    )
    codes = later(
        f"{MFA}.recovery_codes.views.ViewRecoveryCodesView", asked_again, template_name="access/factor_codes.html"
    )
    new_codes = later(
        f"{MFA}.recovery_codes.views.GenerateRecoveryCodesView",
        asked_again,
        template_name="access/factor_new_codes.html",
    )
    urlpatterns += [
        path("login", login_views.login, name="account_login"),
        path("login/second-factor", step, name="mfa_authenticate"),
        path("profile/ask-again", by_password, name="account_reauthenticate"),
        path("profile/ask-again/code", by_code, name="mfa_reauthenticate"),
        path("profile/ask-again/passkey", by_passkey, name="mfa_reauthenticate_webauthn"),
        path(OWN, factor_views.index, name="mfa_index"),
        path(f"{OWN}/app", app, name="mfa_activate_totp"),
        path(f"{OWN}/app/remove", no_app, name="mfa_deactivate_totp"),
        path(f"{OWN}/passkeys/add", passkey, name="mfa_add_webauthn"),
        path(f"{OWN}/passkeys/<int:pk>/remove", no_passkey, name="mfa_remove_webauthn"),
        path(f"{OWN}/codes", codes, name="mfa_view_recovery_codes"),
        path(f"{OWN}/codes/new", new_codes, name="mfa_generate_recovery_codes"),
    ]
