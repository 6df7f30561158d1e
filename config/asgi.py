"""ASGI entry: pages through Django, static files through ServeStatic, sockets and the turn runner through Channels."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django
from django.core.asgi import get_asgi_application

django.setup(set_prefix=False)
http_application = get_asgi_application()

from django.core.signals import request_finished

from coach.garbage import spare_what_is_here
from config.routing import build_application

application = build_application(http_application)


def _spare_all_pages(**_signal: object) -> None:
    """The first request, the launcher's, reads the modules of all pages. The runner reads this file, but gets none."""
    request_finished.disconnect(_spare_all_pages)
    spare_what_is_here()


request_finished.connect(_spare_all_pages)
