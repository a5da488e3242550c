from django.urls import path

from hosts.views import care, hosts, networks, setup

app_name = "hosts"
urlpatterns = [
    path("", hosts.index, name="index"),
    path("add", setup.add, name="add"),
    path("cluster", hosts.cluster, name="cluster"),
    path("trust", care.trust, name="trust"),
    path("encryption", care.encryption, name="encryption"),
    path("common-cpu", care.common_cpu, name="common_cpu"),
    path("networks/", networks.networks, name="networks"),
    path("networks/add", networks.add, name="network_add"),
    path("networks/<int:pk>/", networks.network, name="network"),
    path("networks/<int:pk>/define-missing", networks.define_missing, name="network_define_missing"),
    path("networks/<int:pk>/<slug:verb>", networks.change, name="network_change"),
    path("<int:pk>/", hosts.detail, name="detail"),
    path("<int:pk>/charts", hosts.charts, name="charts"),
    path("<int:pk>/menu", hosts.menu, name="menu"),
    path("<int:pk>/networks", hosts.networks_of, name="networks_of"),
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
    path("<int:pk>/let-in", care.let_in, name="let_in"),
    path("<int:pk>/declare-off", care.declare_off, name="declare_off"),
    path("<int:pk>/remove", care.remove, name="remove"),
    path("<int:pk>/do/<slug:verb>", care.act, name="act"),
]
