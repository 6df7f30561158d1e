"""Every address of the application."""

from django.contrib import admin
from django.urls import include, path

from config.api import api
from config.health import healthz, metrics, readyz

urlpatterns = [
    path("", include("coach.urls")),
    path("", include("accounts.urls")),
    path("i18n/", include("django.conf.urls.i18n")),
    path("api/v1/", api.urls),
    path("healthz", healthz),
    path("readyz", readyz),
    path("metrics", metrics),
    path("admin/", admin.site.urls),
]
