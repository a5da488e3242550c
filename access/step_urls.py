"""Addresses by the names that allauth's steps know them by."""

from django.apps import apps
from django.urls import URLPattern, path

urlpatterns: list[URLPattern] = []
if apps.is_installed("allauth.account"):
    from access import login_views

    urlpatterns += [
        path("login", login_views.login, name="account_login"),
    ]
