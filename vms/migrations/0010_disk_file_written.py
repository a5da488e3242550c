from django.db import migrations, models


def note_what_is_only_read(apps, schema_editor):
    """What is below a disk, in a drive or read only, out of what is known of each VM's disks."""
    DiskFile = apps.get_model("vms", "DiskFile")
    for pk, hardware in apps.get_model("vms", "Vm").objects.values_list("pk", "hardware").iterator(500):
        disks = hardware.get("disks", [])
        written = {disk.get("place") for disk in disks if disk.get("device") in {"disk", "lun"} and not disk.get("readonly")}
        DiskFile.objects.filter(vm_id=pk).exclude(path__in=written).update(is_written=False)


class Migration(migrations.Migration):
    dependencies = [("vms", "0009_console_seen")]

    operations = [
        migrations.AddField("diskfile", "is_written", models.BooleanField(default=True)),
        migrations.RunPython(note_what_is_only_read, migrations.RunPython.noop),
    ]
