from django.db import migrations, models


class Migration(migrations.Migration):
    """The text of a document moves to a row of its own."""

    dependencies = [("knowledge", "0003_document_starter")]

    operations = [
        migrations.CreateModel(
            name="DocumentText",
            fields=[
                (
                    "document",
                    models.OneToOneField(
                        on_delete=models.deletion.CASCADE,
                        primary_key=True,
                        related_name="body",
                        serialize=False,
                        to="knowledge.document",
                    ),
                ),
                ("text", models.TextField(verbose_name="text")),
            ],
        ),
        migrations.RunSQL(
            "INSERT INTO knowledge_documenttext (document_id, text)"
            " SELECT id, text FROM knowledge_document WHERE text <> ''",
            "UPDATE knowledge_document SET text = COALESCE("
            "(SELECT text FROM knowledge_documenttext WHERE document_id = knowledge_document.id), '')",
        ),
        migrations.RemoveField("document", "text"),
    ]
