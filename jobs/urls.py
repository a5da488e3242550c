from django.urls import path

from jobs import views

app_name = "jobs"
urlpatterns = [
    path("", views.index, name="index"),
    path("dock", views.dock, name="dock"),
    path("<int:pk>/", views.detail, name="detail"),
]
