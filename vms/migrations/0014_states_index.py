from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("vms", "0013_groups"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="vm",
            index=models.Index(
                fields=["observed_state", "missing_since", "host", "state_since", "vcpus"], name="vm_states"
            ),
        ),
    ]
