"""Every text people see is in four languages, and the compiled files are those of the sources."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import polib
import pytest
from django.apps import apps
from django.utils.translation import override

ROOT = Path(__file__).resolve().parent.parent
LANGUAGES = ("sv", "nb", "ko")
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]|\{\w*\}")


def catalogue(language: str) -> polib.POFile:
    return polib.pofile(str(ROOT / "locale" / language / "LC_MESSAGES" / "django.po"))


def forms(entry: polib.POEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_is_untranslated_or_uncertain(language: str) -> None:
    entries = [entry for entry in catalogue(language) if not entry.obsolete]
    assert entries
    assert [entry.msgid for entry in entries if "fuzzy" in entry.flags or not all(forms(entry))] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_survive_translation(language: str) -> None:
    for entry in catalogue(language):
        wanted = set(PLACEHOLDER.findall(entry.msgid)) | set(PLACEHOLDER.findall(entry.msgid_plural))
        for text in forms(entry):
            found = set(PLACEHOLDER.findall(text))
            assert found <= wanted, (entry.msgid, text)
            assert entry.msgid_plural or found == wanted, (entry.msgid, text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_file_is_that_of_the_source(language: str) -> None:
    compiled = polib.mofile(str(ROOT / "locale" / language / "LC_MESSAGES" / "django.mo"))
    source = {(e.msgctxt, e.msgid): forms(e) for e in catalogue(language) if not e.obsolete}
    assert {(e.msgctxt, e.msgid): forms(e) for e in compiled} == source


@pytest.mark.skipif(not shutil.which("xgettext"), reason="needs GNU gettext to collect the texts of the code")
def test_every_text_of_the_code_is_in_the_catalogues(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    skipped = shutil.ignore_patterns(
        ".*", "var", "tests", "bench", "locale", "starter_knowledge", "vendor", "__pycache__"
    )
    shutil.copytree(ROOT, tree, ignore=skipped)
    for language in LANGUAGES:
        (tree / "locale" / language / "LC_MESSAGES").mkdir(parents=True)
    command = [
        sys.executable,
        "manage.py",
        "makemessages",
        "--no-obsolete",
        *(f"--locale={code}" for code in LANGUAGES),
    ]
    subprocess.run(command, cwd=tree, check=True, capture_output=True)
    for language in LANGUAGES:
        wanted = {e.msgid for e in polib.pofile(str(tree / "locale" / language / "LC_MESSAGES" / "django.po"))}
        assert wanted - {e.msgid for e in catalogue(language)} == set()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_rooms_of_the_panel_are_named_in_its_language(language: str) -> None:
    ours = [apps.get_app_config(label) for label in ("accounts", "coach", "knowledge", "llm", "training")]
    names = [str(room.verbose_name) for room in ours]
    with override(language):
        told = [str(room.verbose_name) for room in ours]
    same = {"Coaching"} if language == "nb" else set()
    assert {name for name, here in zip(names, told, strict=True) if name == here} == same
