"""Texts that the scripts of the chat page show, translated on the server."""

from django.utils.translation import gettext as _


def page_texts() -> dict[str, str]:
    return {}
