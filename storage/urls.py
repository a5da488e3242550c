from django.urls import path

from storage.views import images, pools, searches, uploads, volumes

app_name = "storage"
urlpatterns = [
    path("", pools.index, name="index"),
    path("pools/add", pools.add_pool, name="add_pool"),
    path("pools/search", searches.begin, name="search"),
    path("pools/search/<int:pk>", searches.result, name="found"),
    path("pools/<int:pk>/", pools.pool, name="pool"),
    path("pools/<int:pk>/volumes", pools.volumes, name="volumes"),
    path("pools/<int:pk>/volumes/add", volumes.add_volume, name="add_volume"),
    path("pools/<int:pk>/hosts", pools.add_hosts, name="add_hosts"),
    path("pools/<int:pk>/retry", pools.retry, name="retry_pool"),
    path("pools/<int:pk>/remove", pools.remove, name="remove_pool"),
    path("pools/<int:pk>/forget", pools.forget, name="forget_pool"),
    path("pools/<int:pk>/hosts/<int:host_pk>/<slug:verb>", pools.act, name="act"),
    path("on-host/<int:pk>", pools.on_host, name="on_host"),
    path("volumes/<int:pk>/resize", volumes.resize, name="resize_volume"),
    path("volumes/<int:pk>/copy", volumes.copy, name="copy_volume"),
    path("volumes/<int:pk>/delete", volumes.delete, name="delete_volume"),
    path("volumes/<int:pk>/forget", volumes.forget, name="forget_volume"),
    path("images/", images.images, name="images"),
    path("images/import", images.import_image, name="import"),
    path("images/<int:pk>/", images.image, name="image"),
    path("images/<int:pk>/retry", images.retry, name="retry_image"),
    path("images/<int:pk>/edit", images.edit, name="edit_image"),
    path("images/<int:pk>/delete", images.delete, name="delete_image"),
    path("uploads/", uploads.begin, name="begin_upload"),
    path("uploads/<uuid:pk>/", uploads.state, name="upload"),
    path("uploads/<uuid:pk>/send", uploads.send, name="send_upload"),
    path("uploads/<uuid:pk>/resume", uploads.resume, name="resume_upload"),
    path("uploads/<uuid:pk>/give-up", uploads.give_up, name="give_up_upload"),
]
