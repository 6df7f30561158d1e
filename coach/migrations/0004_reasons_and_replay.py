"""The reasons one can give with a rating, and the answers an administrator has written again."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# short name, shown for, English, Swedish, Norwegian, Korean
REASONS = (
    ("not-asked", "low", "Not what I asked", "Inte det jag frågade om", "Ikke det jeg spurte om", "물어본 것과 달라요"),
    ("wrong", "low", "Wrong or made up", "Fel eller påhittat", "Feil eller oppdiktet", "틀렸거나 지어낸 내용이에요"),
    ("too-long", "low", "Too long", "För långt", "For langt", "너무 길어요"),
    ("too-general", "low", "Too general", "För allmänt", "For generelt", "너무 막연해요"),
    ("wrong-language", "low", "Wrong language", "Fel språk", "Feil språk", "다른 언어로 답했어요"),
    ("sources-off", "low", "The sources do not fit", "Källorna passar inte", "Kildene passer ikke", "출처가 맞지 않아요"),
    ("clear", "high", "Clear and concrete", "Tydligt och konkret", "Tydelig og konkret", "명확하고 구체적이에요"),
    ("made-me-think", "high", "Made me think", "Fick mig att tänka", "Fikk meg til å tenke", "생각하게 해 줬어요"),
    ("right-sources", "high", "The right sources", "Rätt källor", "De riktige kildene", "출처가 잘 맞아요"),
)


def add_reasons(apps, schema_editor):
    reason = apps.get_model("coach", "RatingReason")
    reason.objects.using(schema_editor.connection.alias).bulk_create(
        reason(slug=slug, shown_for=shown_for, position=position, texts={"en": en, "sv": sv, "nb": nb, "ko": ko})
        for position, (slug, shown_for, en, sv, nb, ko) in enumerate(REASONS)
    )


def remove_reasons(apps, schema_editor):
    reason = apps.get_model("coach", "RatingReason")
    reason.objects.using(schema_editor.connection.alias).filter(slug__in=[row[0] for row in REASONS]).delete()


class Migration(migrations.Migration):

    dependencies = [
        ("coach", "0003_signals_and_provenance"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Replay",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("model", models.CharField(blank=True, max_length=300, verbose_name="language model")),
                ("prompt", models.TextField(blank=True, verbose_name="own prompt")),
                ("search", models.CharField(blank=True, max_length=120, verbose_name="search")),
                ("state", models.CharField(choices=[("waiting", "waiting"), ("running", "being answered"), ("done", "answered"), ("failed", "failed"), ("cancelled", "cancelled")], default="waiting", max_length=10, verbose_name="state")),
                ("answer", models.TextField(blank=True, verbose_name="answer")),
                ("result", models.JSONField(default=dict)),
                ("error", models.TextField(blank=True, verbose_name="what went wrong")),
                ("cancel_requested", models.BooleanField(default=False)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("lease_until", models.DateTimeField(null=True)),
                ("created", models.DateTimeField(auto_now_add=True, verbose_name="created")),
                ("created_by", models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to=settings.AUTH_USER_MODEL)),
                ("turn", models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="replays", to="coach.turn", verbose_name="turn")),
            ],
            options={
                "verbose_name": "replay",
                "verbose_name_plural": "replays",
                "ordering": ["-created"],
            },
        ),
        migrations.RunPython(add_reasons, remove_reasons),
    ]
