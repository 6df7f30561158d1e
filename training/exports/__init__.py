"""Files of rated turns, streamed: one module for each kind, all with the same two names.

    filter ─► rows.batches ─► KIND.lines ─► writing.write: file, SHA-256, manifest

marks.py says of a finished file that somebody in it took consent back.

A kind is a module with `SUFFIX`, `FILTER` (what passes unless somebody says otherwise) and `lines`; kinds.py lists
them. Adding one: the module, its line in kinds.py, its choice in training/models/datasets.py.
"""
