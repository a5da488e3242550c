"""Every address of Drover. A room's pages are below its own prefix."""

from django.urls import include, path
from django.views.i18n import JavaScriptCatalog

from api.main import urls as api_urls
from cluster import my_views, views

cluster_patterns = (
    [
        path("", views.overview, name="overview"),
        path("my-vms/", my_views.my_vms, name="my_vms"),
        path("my-vms/<uuid:uuid>", my_views.card, name="my_vm"),
        path("overview/figures", views.show_figures, name="figures"),
        path("overview/attention", views.show_attention, name="attention"),
        path("overview/map", views.show_map, name="map"),
        path("search", views.search, name="search"),
        path("healthz", views.healthz, name="healthz"),
        path("jsi18n.js", JavaScriptCatalog.as_view(), name="jsi18n"),
    ],
    "cluster",
)

urlpatterns = [
    path("", include(cluster_patterns)),
    path("", include("access.urls")),
    path("", include("access.step_urls")),
    path("audit/", include("audit.urls")),
    path("jobs/", include("jobs.urls")),
    path("hosts/", include("hosts.urls")),
    path("storage/", include("storage.urls")),
    path("vms/", include("vms.urls")),
    path("", include("selfservice.urls")),
    path("notices/", include("notices.urls")),
    path("api/v1/", api_urls()),
]

handler404 = "cluster.views.not_found"
