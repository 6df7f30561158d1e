import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("knowledge", "0006_chunks_of_splittings")]

    operations = [
        migrations.AlterField(
            model_name="chunk",
            name="splitting",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="chunks", to="knowledge.splitting"
            ),
        ),
        migrations.AlterField(
            model_name="indexgeneration",
            name="splitting",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="generations", to="knowledge.splitting"
            ),
        ),
    ]
