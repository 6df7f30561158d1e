"""The lexical index (knowledge/lexical.py): FTS5 on SQLite, a tsvector with GIN on PostgreSQL."""

from django.db import migrations

SQLITE = (
    """CREATE VIRTUAL TABLE knowledge_lexical USING fts5(base, terms, tokenize="ascii tokenchars '_'")""",
    "CREATE VIRTUAL TABLE knowledge_lexical_terms USING fts5vocab(knowledge_lexical, 'col')",
)
SQLITE_BACK = ("DROP TABLE knowledge_lexical_terms", "DROP TABLE knowledge_lexical")
POSTGRESQL = (
    """CREATE TABLE knowledge_lexical (
        chunk_id bigint PRIMARY KEY,
        base_id bigint NOT NULL,
        factor real NOT NULL,
        terms tsvector NOT NULL
    ) WITH (toast_tuple_target = 128)""",
    # A hit needs the narrow columns only: the vectors are kept apart from them.
    "ALTER TABLE knowledge_lexical ALTER COLUMN terms SET STORAGE EXTERNAL",
    "CREATE INDEX knowledge_lexical_gin ON knowledge_lexical USING gin (terms) WITH (gin_pending_list_limit = 256)",
)
POSTGRESQL_BACK = ("DROP TABLE knowledge_lexical",)


def _run(editor, sqlite, postgresql):
    for statement in postgresql if editor.connection.vendor == "postgresql" else sqlite:
        editor.execute(statement)


def forwards(apps, editor):
    _run(editor, SQLITE, POSTGRESQL)


def backwards(apps, editor):
    _run(editor, SQLITE_BACK, POSTGRESQL_BACK)


class Migration(migrations.Migration):
    dependencies = [("knowledge", "0001_initial")]

    operations = [migrations.RunPython(forwards, backwards)]
