"""Personal data is replaced before anybody learns from a conversation.

    text ─► structured.find: addresses, numbers, ids by their form ─┐
         └► names.find: introductions, titles, first names         ─┴► Replacer: [MAIL_1], [NAME_2] …

The same thing has the same name in all of a conversation. What rules cannot know, the person who approves examples
must see: LIMITS says so in every report.
"""

from .replacer import KINDS, LIMITS, Replacer

__all__ = ["KINDS", "LIMITS", "Replacer"]
