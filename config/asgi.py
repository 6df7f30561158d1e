"""ASGI entry: pages through Django, static files through ServeStatic, sockets and the turn runner through Channels."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django
from django.core.asgi import get_asgi_application

django.setup(set_prefix=False)
http_application = get_asgi_application()

from config.routing import build_application

application = build_application(http_application)
