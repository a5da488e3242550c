from django.urls import path, register_converter

from audit import views
from audit.export import WRITERS


class FormConverter:
    regex = "|".join(WRITERS)

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(FormConverter, "audit_form")
app_name = "audit"
urlpatterns = [
    path("", views.index, name="index"),
    path("mine", views.mine, name="mine"),
    path("<int:pk>", views.show_entry, name="entry"),
    path("export.<audit_form:form>", views.download, name="export"),
]
