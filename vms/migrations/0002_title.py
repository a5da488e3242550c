from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("vms", "0001_initial")]

    operations = [
        migrations.AddField(
            model_name="vm",
            name="title",
            field=models.CharField(blank=True, max_length=200, verbose_name="title"),
        ),
        migrations.AlterField(
            model_name="vm",
            name="description",
            field=models.TextField(blank=True, verbose_name="description"),
        ),
        migrations.AddIndex(
            model_name="vm",
            index=models.Index(
                fields=["host", "observed_state", "missing_since", "memory_bytes", "vcpus"], name="vm_figures"
            ),
        ),
    ]
