"""Addresses below /notices/."""

from django.urls import path

from notices import views

app_name = "notices"
urlpatterns = [
    path("", views.index, name="index"),
    path("count", views.count, name="count"),
    path("latest", views.latest, name="latest"),
    path("read", views.read_all, name="read_all"),
    path("<int:pk>/read", views.read, name="read"),
    path("choices", views.choose, name="choices"),
]
