from django.apps import apps
from django.contrib.auth import views as auth_views
from django.urls import path

from access import group_views, invitation_views, people_views, views

app_name = "access"
urlpatterns = [
    path("logout", auth_views.LogoutView.as_view(), name="logout"),
    path("profile", views.profile, name="profile"),
    path("profile/theme", views.set_theme, name="theme"),
    path(
        "profile/password",
        views.ChangePassword.as_view(),
        name="password",
    ),
    path("profile/sessions/<int:pk>/end", views.end_session, name="end_session"),
    path("profile/sessions/end-others", views.end_other_sessions, name="end_other_sessions"),
    path("profile/tokens/new", views.make_token, name="make_token"),
    path("profile/tokens/<int:pk>/revoke", views.revoke_token, name="revoke_token"),
    path("profile/ssh-keys/add", views.add_ssh_keys, name="add_ssh_keys"),
    path("profile/ssh-keys/<int:pk>/remove", views.remove_ssh_key, name="remove_ssh_key"),
    path("people/", people_views.index, name="people"),
    path("people/add", people_views.add, name="add_person"),
    path("people/<int:pk>/", people_views.person, name="person"),
    path("people/<int:pk>/edit", people_views.edit, name="edit_person"),
    path("people/<int:pk>/password", people_views.set_password, name="set_password"),
    path("people/<int:pk>/activate", people_views.activate, name="activate"),
    path("people/<int:pk>/deactivate", people_views.deactivate, name="deactivate"),
    path("people/<int:pk>/delete", people_views.delete, name="delete_person"),
    path("people/invitations/", invitation_views.index, name="invitations"),
    path("people/invitations/new", invitation_views.invite, name="invite"),
    path("people/invitations/<int:pk>/withdraw", invitation_views.withdraw, name="withdraw_invitation"),
    path("join/<str:secret>", invitation_views.join, name="join"),
    path("people/groups/", group_views.index, name="groups"),
    path("people/groups/add", group_views.add, name="add_group"),
    path("people/groups/<int:pk>/", group_views.group, name="group"),
    path("people/groups/<int:pk>/edit", group_views.edit, name="edit_group"),
    path("people/groups/<int:pk>/delete", group_views.delete, name="delete_group"),
    path("people/groups/<int:pk>/members", group_views.add_members, name="add_members"),
    path("people/groups/<int:pk>/members/<int:user>/out", group_views.take_out, name="take_out"),
    path("people/groups/<int:pk>/members/<int:user>/manager", group_views.set_manager, name="set_manager"),
    path("people/grants/", group_views.grants, name="grants"),
    path("people/grants/give", group_views.give, name="give"),
    path("people/grants/<int:pk>/take-away", group_views.take_away, name="take_away"),
]
# Processes without pages (settings.py) reverse addresses too, and do without what signing in needs.
if apps.is_installed("allauth.account"):
    from access.login_urls import urlpatterns as login_patterns

    urlpatterns += login_patterns
