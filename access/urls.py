from django.contrib.auth import views as auth_views
from django.urls import path

from access import views
from access.forms import LoginForm

app_name = "access"
urlpatterns = [
    path(
        "login",
        auth_views.LoginView.as_view(
            template_name="access/login.html",
            authentication_form=LoginForm,
            redirect_authenticated_user=True,
        ),
        name="login",
    ),
    path("logout", auth_views.LogoutView.as_view(), name="logout"),
    path("profile", views.profile, name="profile"),
    path("profile/theme", views.set_theme, name="theme"),
    path(
        "profile/password",
        views.ChangePassword.as_view(),
        name="password",
    ),
    path("profile/tokens/new", views.make_token, name="make_token"),
    path("profile/tokens/<int:pk>/revoke", views.revoke_token, name="revoke_token"),
]
