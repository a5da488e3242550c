"""Signing in."""

from django.urls import path

from access import factor_views, login_views
from access.later import later

urlpatterns = [
    path("login", login_views.login, name="login"),
    path("login/oidc", later("access.oidc.begin", is_open=True), name="oidc"),
    path("people/second-factor", factor_views.require_by_role, name="required_factors"),
    path("people/<int:pk>/second-factor/remove", factor_views.drop, name="drop_factors"),
    path("login/oidc/callback", later("access.oidc.callback", is_open=True), name="oidc_callback"),
]
