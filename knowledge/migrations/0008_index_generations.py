from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("knowledge", "0007_splitting_required")]

    operations = [
        migrations.AddField(model_name="documenttext", name="blocks", field=models.JSONField(default=dict)),
        migrations.AddField(
            model_name="indexgeneration", name="verified", field=models.JSONField(default=dict, editable=False)
        ),
        migrations.AddField(
            model_name="indexgeneration",
            name="chunks_per_second",
            field=models.FloatField(default=0.0, editable=False),
        ),
    ]
