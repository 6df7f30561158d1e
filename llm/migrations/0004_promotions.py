from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('llm', '0003_pull_language'),
    ]

    operations = [
        migrations.AddField(
            model_name='liveorder',
            name='front',
            field=models.BooleanField(default=False, verbose_name='promoted'),
        ),
        migrations.AddField(
            model_name='liveorder',
            name='coach',
            field=models.CharField(blank=True, max_length=60, verbose_name='coach'),
        ),
        migrations.AddField(
            model_name='liveorder',
            name='share',
            field=models.PositiveSmallIntegerField(default=100, verbose_name='share of conversations, %'),
        ),
        migrations.AddField(
            model_name='liveorder',
            name='ended',
            field=models.DateTimeField(null=True, verbose_name='until'),
        ),
    ]
