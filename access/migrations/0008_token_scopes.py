from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0007_web_sessions'),
    ]

    operations = [
        migrations.AddField(
            model_name='apitoken',
            name='areas',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='apitoken',
            name='may_change',
            field=models.BooleanField(default=True),
        ),
    ]
