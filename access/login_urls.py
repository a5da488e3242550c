"""Signing in."""

from django.urls import path

from access import factor_views, login_views, oidc

urlpatterns = [
    path("login", login_views.login, name="login"),
    path("login/oidc", oidc.begin, name="oidc"),
    path("people/second-factor", factor_views.require_by_role, name="required_factors"),
    path("people/<int:pk>/second-factor/remove", factor_views.drop, name="drop_factors"),
    path("login/oidc/callback", oidc.callback, name="oidc_callback"),
]
