"""Admin of the knowledge; what touches files, passages or vectors goes through services.py and generations.py.

admin_bases        knowledge bases: the list and the page of one
admin_upload       hundreds of files by drag and drop
admin_documents    documents: the list, and passages beside the text (admin_preview)
admin_generations  the index of a base: build, switch, roll back
admin_bench        what the search makes of a question
"""

from __future__ import annotations

from . import admin_bases, admin_documents  # noqa: F401 - they register their pages
