from django.urls import path

from . import views

urlpatterns = [
    path("", views.chat, name="chat"),
    path("c/<uuid:conversation_id>/", views.chat, name="conversation"),
    path("accounts/login/", views.SignIn.as_view(), name="login"),
    path("styleguide/", views.styleguide, name="styleguide"),
    path("documents/<uuid:document_id>/", views.document, name="document"),
]
