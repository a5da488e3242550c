from django.urls import path

from jobs import views

app_name = "jobs"
urlpatterns = [
    path("", views.index, name="index"),
    path("dock", views.dock, name="dock"),
    path("dock/list", views.dock_list, name="dock_list"),
    path("<int:pk>/", views.detail, name="detail"),
    path("<int:pk>/state", views.state, name="state"),
    path("<int:pk>/log", views.log, name="log"),
    path("<int:pk>/parts", views.parts, name="parts"),
    path("<int:pk>/cancel", views.cancel, name="cancel"),
]
