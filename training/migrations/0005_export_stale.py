from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('training', '0004_pairs_go_with_their_turn'),
    ]

    operations = [
        migrations.AddField(
            model_name='export',
            name='stale',
            field=models.DateTimeField(null=True, verbose_name='consent was taken back'),
        ),
        migrations.AddField(
            model_name='export',
            name='looked',
            field=models.CharField(blank=True, max_length=60),
        ),
    ]
