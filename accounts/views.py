"""Pages to make an account: the first administrator, and sign-up where it is allowed."""

from __future__ import annotations

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from . import selectors, services
from .forms import AccountForm

BACKEND = "django.contrib.auth.backends.ModelBackend"


@require_http_methods(["GET", "POST"])
def welcome(request: HttpRequest) -> HttpResponse:
    """First visit: make the administrator. Gone for good once there is one."""
    if not selectors.setup_needed():
        raise Http404
    form = AccountForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            admin = services.create_first_admin(
                username=form.cleaned_data["username"], password=form.cleaned_data["password1"]
            )
        except services.SetupAlreadyDone:
            raise Http404 from None
        login(request, admin, backend=BACKEND)
        messages.success(request, _("Welcome! You are the administrator now."))
        return redirect("chat")
    return render(request, "accounts/welcome.html", {"form": form, "guests": settings.COACH_GUESTS})


@require_http_methods(["GET", "POST"])
def signup(request: HttpRequest) -> HttpResponse:
    invitation = request.GET.get("invite", "")
    if settings.COACH_SIGNUP == "closed":
        raise Http404
    if settings.COACH_SIGNUP == "invite":
        try:
            services.check_invitation(invitation=invitation)
        except services.InvitationInvalid:
            return render(request, "accounts/signup.html", {"invitation_invalid": True}, status=403)
    form = AccountForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        guest = request.user if request.user.is_authenticated else None
        person = services.sign_up(
            username=form.cleaned_data["username"], password=form.cleaned_data["password1"], guest=guest
        )
        login(request, person, backend=BACKEND)
        return redirect("chat")
    return render(request, "accounts/signup.html", {"form": form})
