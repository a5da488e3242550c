import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def look_at_them(apps, schema_editor):
    """Requests that are ready already: the clock finds out what is due for them when it looks."""
    requests = apps.get_model("selfservice", "Request").objects.filter(state="ready", until__isnull=False)
    requests.update(next_at=models.F("asked_at"), leased_at=models.F("asked_at"))


class Migration(migrations.Migration):

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ('selfservice', '0002_offers_and_requests'),
    ]

    operations = [
        migrations.AddField(
            model_name='request',
            name='autostarts',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='request',
            name='kept_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='request',
            name='leased_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='request',
            name='longer_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='request',
            name='longer_days',
            field=models.PositiveIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='request',
            name='longer_why',
            field=models.TextField(blank=True),
        ),
        migrations.AddField(
            model_name='request',
            name='next_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='request',
            name='pinned_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='request',
            name='pinned_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='request',
            name='returned_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='request',
            name='stage_until',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='request',
            name='unused_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='request',
            name='warned_days',
            field=models.FloatField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='requestevent',
            name='step',
            field=models.CharField(choices=[('asked', 'asked for'), ('approved', 'approved'), ('rejected', 'rejected'), ('withdrawn', 'withdrawn'), ('escalated', 'not answered in time'), ('begun', 'being built'), ('ready', 'ready'), ('failed', 'failed'), ('again', 'tried again'), ('given_up', 'given up'), ('deleted', 'deleted'), ('warned', 'ends soon'), ('ended', 'ended: shut down'), ('archived', 'archived'), ('extended', 'extended'), ('longer', 'more time asked for'), ('granted', 'more time given'), ('refused', 'no more time'), ('pinned', 'pinned'), ('unpinned', 'no longer pinned'), ('returned', 'given back'), ('unused', 'nobody uses it'), ('kept', 'still needed')], max_length=10),
        ),
        migrations.AddIndex(
            model_name='request',
            index=models.Index(condition=models.Q(('next_at__isnull', False)), fields=['next_at'], name='request_next'),
        ),
        migrations.AddIndex(
            model_name='request',
            index=models.Index(condition=models.Q(('longer_at__isnull', False)), fields=['longer_at'], name='request_longer'),
        ),
        migrations.RunPython(look_at_them, migrations.RunPython.noop),
    ]
