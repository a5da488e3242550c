from django.urls import path

from hosts.views import care, hosts, setup

app_name = "hosts"
urlpatterns = [
    path("", hosts.index, name="index"),
    path("add", setup.add, name="add"),
    path("trust", care.trust, name="trust"),
    path("common-cpu", care.common_cpu, name="common_cpu"),
    path("<int:pk>/", hosts.detail, name="detail"),
    path("<int:pk>/setup", setup.setup, name="setup"),
    path("<int:pk>/setup/probe", setup.probe, name="probe"),
    path("<int:pk>/setup/pin", setup.pin, name="pin"),
    path("<int:pk>/setup/install-key", setup.install_key, name="install_key"),
    path("<int:pk>/setup/try-login", setup.try_login, name="try_login"),
    path("<int:pk>/setup/preflight", setup.preflight, name="preflight"),
    path("<int:pk>/setup/accept", setup.accept, name="accept"),
    path("<int:pk>/checks", care.checks, name="checks"),
    path("<int:pk>/edit", care.edit, name="edit"),
    path("<int:pk>/maintenance", care.maintenance, name="maintenance"),
    path("<int:pk>/evacuate", care.evacuate, name="evacuate"),
    path("<int:pk>/repin", care.repin, name="repin"),
    path("<int:pk>/declare-off", care.declare_off, name="declare_off"),
    path("<int:pk>/remove", care.remove, name="remove"),
    path("<int:pk>/do/<slug:verb>", care.act, name="act"),
]
