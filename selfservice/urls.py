from django.urls import path

from selfservice import views

app_name = "selfservice"
urlpatterns = [
    path("quotas/mine", views.mine, name="mine"),
    path("people/quotas/", views.index, name="quotas"),
    path("people/quotas/edit", views.edit_everybody, name="edit_everybody"),
    path("people/<int:pk>/quota", views.of_person, name="of_person"),
    path("people/<int:pk>/quota/edit", views.edit_person, name="edit_person"),
    path("people/<int:pk>/quota/drop", views.drop_person, name="drop_person"),
    path("people/groups/<int:pk>/quota", views.of_group, name="of_group"),
    path("people/groups/<int:pk>/quota/edit", views.edit_group, name="edit_group"),
    path("people/groups/<int:pk>/quota/drop", views.drop_group, name="drop_group"),
]
