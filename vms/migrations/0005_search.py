from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("vms", "0004_overview_indexes")]

    operations = [
        migrations.AddIndex(
            model_name="vm",
            index=models.Index(fields=["name", "address", "title", "owner"], name="vm_search"),
        ),
    ]
