import django.db.models.deletion
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('knowledge', '0008_index_generations'),
    ]

    operations = [
        migrations.CreateModel(
            name='Job',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('kind', models.CharField(choices=[('map', 'map'), ('questions', 'questions and answers'), ('pairs', 'similar passages')], max_length=10, verbose_name='kind')),
                ('state', models.CharField(choices=[('waiting', 'waiting'), ('running', 'running'), ('done', 'done'), ('failed', 'failed'), ('cancelled', 'cancelled')], db_index=True, default='waiting', max_length=10, verbose_name='state')),
                ('options', models.JSONField(default=dict)),
                ('cursor', models.JSONField(default=dict)),
                ('total', models.PositiveIntegerField(default=0)),
                ('done', models.PositiveIntegerField(default=0)),
                ('found', models.PositiveIntegerField(default=0)),
                ('refused', models.PositiveIntegerField(default=0)),
                ('cancel_requested', models.BooleanField(default=False)),
                ('error_code', models.CharField(blank=True, max_length=40)),
                ('error', models.TextField(blank=True, verbose_name='what went wrong')),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('owner', models.CharField(blank=True, max_length=80)),
                ('beat', models.DateTimeField(null=True)),
                ('created', models.DateTimeField(auto_now_add=True, verbose_name='asked for')),
                ('finished', models.DateTimeField(null=True, verbose_name='finished')),
                ('base', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='jobs', to='knowledge.knowledgebase')),
            ],
            options={
                'verbose_name': 'job',
                'verbose_name_plural': 'jobs',
                'ordering': ['-created'],
            },
        ),
    ]
