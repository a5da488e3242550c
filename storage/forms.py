"""Forms of storage. What belongs to one kind of pool is asked by its slice (storage/backends)."""

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.models import Host
from jobs.errors import Refused
from storage import naming
from storage.backends import Backend, backend_of, backends
from storage.backends.base import SourceForm, field_error
from storage.models import Pool, Volume
from ui.forms import RefusedLike, add_refusal
from virt import names

GIB = 1024**3
HOME = "/var/lib/libvirt/drover"
SYSTEM_FOLDERS = (
    "/bin /boot /dev /etc /lib /lib32 /lib64 /libx32 /opt/drover /proc /root /run /sbin /sys /usr /var/run".split()
)
TOO_WIDE = ("/ /home /media /mnt /opt /srv /tmp /var /var/lib /var/lib/libvirt /var/log /var/tmp").split()
PLAIN = {"autocapitalize": "off", "spellcheck": "false", "autocomplete": "off"}


def managed_hosts() -> QuerySet[Host]:
    return Host.objects.filter(is_managed=True).order_by("name")


class HostsForm(forms.Form):
    """Which hosts."""

    hosts = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Hosts"),
        queryset=Host.objects.none(),
        widget=forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"}),
    )

    def __init__(self, data: Any = None, *, hosts: QuerySet[Host], **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        self.fields["hosts"].queryset = hosts  # type: ignore[attr-defined]


class PoolForm(HostsForm):
    """A new pool: the common part; `source_form` is the part of its kind."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=63, widget=forms.TextInput(attrs=PLAIN))
    target_path = forms.CharField(
        label=gettext_lazy("Folder on the hosts"),
        max_length=255,
        required=False,
        widget=forms.TextInput(attrs=PLAIN),
        help_text=gettext_lazy("Where it appears on every host. Left empty: %(home)s/NAME.") % {"home": HOME},
    )
    autostart = forms.BooleanField(label=gettext_lazy("Start it when the host starts"), required=False, initial=True)
    is_shared = forms.BooleanField(
        label=gettext_lazy("Every host sees the same content here"),
        required=False,
        help_text=gettext_lazy("Only if the folder lies on a file system that all hosts mount themselves."),
    )
    field_order = ["name", "target_path", "is_shared", "hosts", "autostart"]

    def __init__(self, data: Any = None, *, kind: str, **kwargs: Any) -> None:
        hosts = managed_hosts()
        super().__init__(data, hosts=hosts, **kwargs)
        self.backend: Backend = backend_of(kind) or next(iter(backends().values()))
        self.source_form: SourceForm = self.backend.form(data)
        if self.backend.is_shared:
            del self.fields["is_shared"]
        if data is None:
            self.initial.setdefault("hosts", list(hosts.values_list("pk", flat=True)))

    def clean_name(self) -> str:
        try:
            return names.check_pool_name(self.cleaned_data["name"].strip())
        except names.Refused as refused:
            raise field_error(refused) from refused

    def clean_target_path(self) -> str:
        path = self.cleaned_data["target_path"].strip()
        path = path.rstrip("/") or path[:1]
        if not path and "name" not in self.cleaned_data:
            return ""  # the name is refused, and the folder would be called after it
        path = path or f"{HOME}/{self.cleaned_data['name']}"
        try:
            names.check_path(path)
        except names.Refused as refused:
            raise field_error(refused) from refused
        if path in TOO_WIDE or any(path == folder or path.startswith(folder + "/") for folder in SYSTEM_FOLDERS):
            raise forms.ValidationError(_("This folder belongs to the system. Choose one of its own."))
        return path

    def is_valid(self) -> bool:
        mine, of_kind = super().is_valid(), self.source_form.is_valid()
        return mine and of_kind

    def values(self) -> dict[str, Any]:
        """What `begin_pool` wants."""
        data = self.cleaned_data
        return {
            "name": data["name"],
            "kind": self.backend.kind,
            "target_path": data["target_path"],
            "source": self.source_form.source(),
            "autostart": data["autostart"],
            "is_shared": data.get("is_shared", False),
        }

    def add_refusal(self, refused: RefusedLike) -> None:
        add_refusal(self.source_form if refused.field in self.source_form.fields else self, refused)


class SizeForm(forms.Form):
    """A size in GiB."""

    size = forms.DecimalField(label=gettext_lazy("Size"), max_digits=24, decimal_places=4)

    def clean_size(self) -> int:
        size_bytes = int(self.cleaned_data["size"] * GIB)
        try:
            return names.check_disk_bytes(size_bytes)
        except names.Refused as refused:
            raise field_error(refused) from refused


class VolumeForm(SizeForm):
    """A new, empty volume."""

    name = forms.CharField(label=gettext_lazy("Name"), max_length=200, widget=forms.TextInput(attrs=PLAIN))
    format = forms.ChoiceField(
        label=gettext_lazy("Format"),
        choices=[("qcow2", gettext_lazy("qcow2: grows with use")), ("raw", gettext_lazy("raw: plain bytes"))],
    )
    full = forms.BooleanField(label=gettext_lazy("Take all its room at once (raw only)"), required=False)
    host = forms.ModelChoiceField(label=gettext_lazy("Host"), queryset=Host.objects.none(), required=False)
    field_order = ["name", "size", "format", "full", "host"]

    def __init__(self, data: Any = None, *, pool: Pool, hosts: QuerySet[Host], **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        if pool.is_shared:
            del self.fields["host"]
        else:
            self.fields["host"].queryset = hosts  # type: ignore[attr-defined]
            self.fields["host"].required = True
            self.fields["host"].empty_label = None  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        try:
            return names.check_volume_name(self.cleaned_data["name"].strip())
        except names.Refused as refused:
            raise field_error(refused) from refused


class CopyForm(forms.Form):
    """A copy's name."""

    name = forms.CharField(label=gettext_lazy("Name of the copy"), max_length=200, widget=forms.TextInput(attrs=PLAIN))

    def clean_name(self) -> str:
        try:
            return names.check_volume_name(self.cleaned_data["name"].strip())
        except names.Refused as refused:
            raise field_error(refused) from refused


class NamedForm(forms.Form):
    """What an image is called."""

    name = forms.CharField(
        label=gettext_lazy("Family"),
        max_length=64,
        widget=forms.TextInput(attrs=PLAIN | {"placeholder": "debian-12"}),
        help_text=gettext_lazy("Versions of the same system share it."),
    )
    version = forms.CharField(label=gettext_lazy("Version"), max_length=40, widget=forms.TextInput(attrs=PLAIN))

    def clean_name(self) -> str:
        return self._word("name", 64)

    def clean_version(self) -> str:
        return self._word("version", 40)

    def _word(self, field: str, max_length: int) -> str:
        try:
            return naming.check_word(self.cleaned_data[field], field, max_length)
        except Refused as refused:
            raise forms.ValidationError(str(refused.message)) from refused


class ImageForm(NamedForm):
    """What every import asks: what it is and where it goes. Subclasses add where it comes from."""

    os_name = forms.CharField(
        label=gettext_lazy("Operating system"),
        max_length=100,
        required=False,
        widget=forms.TextInput(attrs={"placeholder": "Debian 12"}),
    )
    description = forms.CharField(
        label=gettext_lazy("Notes"), max_length=4000, required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
    pool = forms.ModelChoiceField(label=gettext_lazy("Pool"), queryset=Pool.objects.none(), empty_label=None)
    host = forms.ModelChoiceField(
        label=gettext_lazy("Host"),
        queryset=Host.objects.none(),
        required=False,
        empty_label=gettext_lazy("any that has the pool"),
        help_text=gettext_lazy("Which host receives the file. In a pool that is not shared it lies only there."),
    )
    checksum = forms.CharField(
        label=gettext_lazy("Checksum"),
        max_length=2000,
        required=False,
        widget=forms.TextInput(attrs=PLAIN),
        help_text=gettext_lazy("SHA-256 or SHA-512, or the address of a SHA256SUMS file."),
    )

    def __init__(self, data: Any = None, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        usable = {"presences__is_active": True, "presences__missing_since": None, "presences__error": ""}
        pools = Pool.objects.filter(**usable).distinct().order_by("-is_shared", "name")
        hosts = Host.objects.filter(pools__is_active=True, pools__missing_since=None, is_managed=True)
        self.fields["pool"].queryset = pools  # type: ignore[attr-defined]
        self.fields["host"].queryset = hosts.distinct().order_by("name")  # type: ignore[attr-defined]
        self.initial.setdefault("version", timezone.localdate().isoformat())

    def clean_checksum(self) -> str:
        try:
            return naming.check_checksum(self.cleaned_data["checksum"], "checksum")
        except Refused as refused:
            raise forms.ValidationError(str(refused.message)) from refused

    def values(self) -> dict[str, Any]:
        """What the operations want: keys instead of rows."""
        data = dict(self.cleaned_data)
        data["pool"] = data["pool"].pk
        data["host"] = data["host"].pk if data.get("host") else None
        return data


class UrlImportForm(ImageForm):
    url = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=2000,
        widget=forms.URLInput(
            attrs=PLAIN | {"placeholder": "https://cloud.debian.org/.../debian-12-generic-amd64.qcow2"}
        ),
        help_text=gettext_lazy("The host downloads it itself; a download that breaks off goes on where it stopped."),
    )
    field_order = ["url", "checksum", "name", "version", "os_name", "pool", "host", "description"]

    def clean_url(self) -> str:
        try:
            return naming.check_url(self.cleaned_data["url"], "url")
        except Refused as refused:
            raise forms.ValidationError(str(refused.message)) from refused


class UploadForm(ImageForm):
    """The file itself never passes through this form: static/js/upload.js sends it in parts."""

    file = forms.CharField(
        label=gettext_lazy("File"),
        required=False,
        widget=forms.ClearableFileInput(attrs={"accept": ".qcow2,.img,.raw,.iso"}),
        help_text=gettext_lazy("qcow2, raw or ISO. It goes in parts straight into the pool of the host."),
    )
    field_order = ["file", "checksum", "name", "version", "os_name", "pool", "host", "description"]


class VolumeField(forms.ModelChoiceField):
    def label_from_instance(self, obj: Any) -> str:
        place = f"{obj.pool.name}/{obj.name}"
        return f"{place} ({obj.host.name})" if obj.host else place


class VolumeImportForm(ImageForm):
    volume = VolumeField(
        label=gettext_lazy("File"),
        queryset=Volume.objects.none(),
        empty_label=gettext_lazy("choose a file"),
        help_text=gettext_lazy("It stays where it is and becomes read-only."),
    )
    field_order = ["volume", "checksum", "name", "version", "os_name", "description"]

    def __init__(self, data: Any = None, *, volumes: QuerySet[Volume], **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        del self.fields["pool"], self.fields["host"]
        self.fields["volume"].queryset = volumes  # type: ignore[attr-defined]

    def values(self) -> dict[str, Any]:
        data = dict(self.cleaned_data)
        volume: Volume = data["volume"]
        return data | {"pool": volume.pool_id, "host": volume.host_id, "volume": volume.name}


class EditImageForm(NamedForm):
    os_name = forms.CharField(label=gettext_lazy("Operating system"), max_length=100, required=False)
    description = forms.CharField(
        label=gettext_lazy("Notes"), max_length=4000, required=False, widget=forms.Textarea(attrs={"rows": 4})
    )
