from django.urls import path

from vms import console_views, migration_views
from vms.views import actions, bulk, create, lists, pages

app_name = "vms"
urlpatterns = [
    path("", lists.index, name="index"),
    path("options", lists.options, name="options"),
    path("on-host/<int:pk>", lists.on_host, name="on_host"),
    path("bulk/<slug:verb>", bulk.bulk, name="bulk"),
    path("create", create.create, name="create"),
    path("create/place", create.placement, name="placement"),
    path("create/preview", create.preview, name="preview"),
    path("<uuid:uuid>/", pages.detail, name="detail"),
    path("<uuid:uuid>/head", pages.head, name="head"),
    path("<uuid:uuid>/facts", pages.facts, name="facts"),
    path("<uuid:uuid>/thumbnail", pages.thumbnail, name="thumbnail"),
    path("<uuid:uuid>/screen.png", pages.screen, name="screen"),
    path("<uuid:uuid>/row", lists.row, name="row"),
    path("<uuid:uuid>/menu", pages.actions_menu, name="menu"),
    path("<uuid:uuid>/hardware", pages.hardware, name="hardware"),
    path("<uuid:uuid>/definition", pages.definition, name="definition"),
    path("<uuid:uuid>/jobs", pages.jobs, name="jobs"),
    path("<uuid:uuid>/charts", pages.charts, name="charts"),
    path("<uuid:uuid>/act/<slug:verb>", actions.act, name="act"),
    path("<uuid:uuid>/confirm", actions.confirm, name="confirm"),
    path("<uuid:uuid>/rename", actions.rename, name="rename"),
    path("<uuid:uuid>/edit", actions.edit, name="edit"),
    path("<uuid:uuid>/resize", actions.resize, name="resize"),
    path("<uuid:uuid>/disks/<slug:target>", actions.disk, name="disk"),
    path("<uuid:uuid>/delete", actions.delete, name="delete"),
    path("<uuid:uuid>/forget", actions.forget, name="forget"),
    path("<uuid:uuid>/start-anyway", actions.start_anyway, name="start_anyway"),
    path("<uuid:uuid>/migrate", migration_views.migrate, name="migrate"),
    path("<uuid:uuid>/migration", migration_views.migration, name="migration"),
    path("<uuid:uuid>/migration/<int:pk>/series", migration_views.migration_series, name="migration_series"),
    path("<uuid:uuid>/console", console_views.console, name="console"),
    path("<uuid:uuid>/console/head", console_views.console_head, name="console_head"),
    path("<uuid:uuid>/console/ticket", console_views.console_ticket, name="console_ticket"),
]
