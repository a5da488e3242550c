from django.urls import path

from selfservice import ask_views, offer_views, request_views, views

app_name = "selfservice"
urlpatterns = [
    path("offers/", ask_views.index, name="offers"),
    path("offers/all", offer_views.everything, name="all_offers"),
    path("offers/new", offer_views.add, name="add_offer"),
    path("offers/<int:pk>/", offer_views.detail, name="offer"),
    path("offers/<int:pk>/edit", offer_views.edit, name="edit_offer"),
    path("offers/<int:pk>/archive", offer_views.archive, name="archive_offer"),
    path("offers/<int:pk>/bring-back", offer_views.bring_back, name="bring_back_offer"),
    path("offers/<int:pk>/preview", ask_views.preview, name="preview_offer"),
    path("offers/<int:pk>/picture", ask_views.picture, name="picture"),
    path("offers/<int:pk>/ask", ask_views.ask, name="ask"),
    path("offers/<int:pk>/look", ask_views.look, name="look"),
    path("requests/", request_views.mine, name="requests"),
    path("requests/all", request_views.others, name="all_requests"),
    path("requests/inbox", request_views.inbox, name="inbox"),
    path("requests/decide", request_views.decide, name="decide"),
    path("requests/<int:pk>/", request_views.detail, name="request"),
    path("requests/<int:pk>/approve", request_views.approve, name="approve"),
    path("requests/<int:pk>/reject", request_views.reject, name="reject"),
    path("requests/<int:pk>/withdraw", request_views.withdraw, name="withdraw"),
    path("requests/<int:pk>/retry", request_views.retry, name="retry"),
    path("requests/<int:pk>/give-up", request_views.give_up, name="give_up"),
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
