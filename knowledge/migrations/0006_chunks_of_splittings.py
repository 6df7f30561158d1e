"""Every chunk and generation gets its base's splitting; the lexical index is asked by splitting instead of by base."""

from django.conf import settings
from django.db import migrations

SQLITE = (
    "DROP TABLE knowledge_lexical_terms",
    "ALTER TABLE knowledge_lexical RENAME TO knowledge_lexical_old",
    """CREATE VIRTUAL TABLE knowledge_lexical USING fts5({column}, terms, tokenize="ascii tokenchars '_'")""",
    """INSERT INTO knowledge_lexical (rowid, {column}, terms)
       SELECT old.rowid, {value}, old.terms FROM knowledge_lexical_old AS old
       JOIN knowledge_chunk AS chunk ON chunk.id = old.rowid
       JOIN knowledge_document AS document ON document.id = chunk.document_id""",
    "DROP TABLE knowledge_lexical_old",
    "CREATE VIRTUAL TABLE knowledge_lexical_terms USING fts5vocab(knowledge_lexical, 'col')",
)
POSTGRESQL = (
    "ALTER TABLE knowledge_lexical RENAME COLUMN base_id TO splitting_id",
    """UPDATE knowledge_lexical SET splitting_id = chunk.splitting_id
       FROM knowledge_chunk AS chunk WHERE chunk.id = knowledge_lexical.chunk_id""",
)
POSTGRESQL_BACK = (
    """UPDATE knowledge_lexical SET splitting_id = document.base_id FROM knowledge_chunk AS chunk
       JOIN knowledge_document AS document ON document.id = chunk.document_id
       WHERE chunk.id = knowledge_lexical.chunk_id""",
    "ALTER TABLE knowledge_lexical RENAME COLUMN splitting_id TO base_id",
)


def _run(editor, sqlite, postgresql):
    for statement in postgresql if editor.connection.vendor == "postgresql" else sqlite:
        editor.execute(statement)


def forwards(apps, editor):
    generation, splitting = apps.get_model("knowledge", "IndexGeneration"), apps.get_model("knowledge", "Splitting")
    chunk, base = apps.get_model("knowledge", "Chunk"), apps.get_model("knowledge", "KnowledgeBase")
    for pk in base.objects.values_list("pk", flat=True):
        live = generation.objects.filter(base=pk).order_by("state", "-created").first()
        if live is None and not chunk.objects.filter(document__base=pk).exists():
            continue
        embedder = live.embedder if live else settings.COACH_EMBEDDER
        made = splitting.objects.create(base_id=pk, splitter=f"structure-1-200:{embedder}")
        generation.objects.filter(base=pk).update(splitting=made)
        chunk.objects.filter(document__base=pk).update(splitting=made)
    values = {"column": "splitting", "value": "'s' || chunk.splitting_id"}
    _run(editor, [statement.format(**values) for statement in SQLITE], POSTGRESQL)


def backwards(apps, editor):
    values = {"column": "base", "value": "'b' || document.base_id"}
    _run(editor, [statement.format(**values) for statement in SQLITE], POSTGRESQL_BACK)


class Migration(migrations.Migration):
    dependencies = [("knowledge", "0005_splittings")]

    operations = [migrations.RunPython(forwards, backwards)]
