"""ASGI entry: pages through Django, static files through ServeStatic, sockets and the turn runner through Channels."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402

django.setup(set_prefix=False)
http_application = get_asgi_application()

from config.routing import build_application  # noqa: E402

application = build_application(http_application)
