"""Signing in."""

from django.urls import path

from access import login_views, oidc

urlpatterns = [
    path("login", login_views.login, name="login"),
    path("login/oidc", oidc.begin, name="oidc"),
    path("login/oidc/callback", oidc.callback, name="oidc_callback"),
]
