from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("coach", "0004_reasons_and_replay")]

    operations = [
        migrations.AddField(model_name="turn", name="unsupported", field=models.JSONField(default=list)),
    ]
