"""People and their API tokens."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _


class User(AbstractUser):
    """Everyone who talks with a coach, guests included: a guest is a user without a password.

    Guests are real rows so that ownership is checked in one way only.
    """

    is_guest = models.BooleanField(_("guest"), default=False)
    language = models.CharField(_("language"), max_length=5, blank=True, help_text=_("Empty: the browser's language."))
    training_consent = models.DateTimeField(
        _("agreed to training"), null=True, blank=True, help_text=_("Since when; empty: conversations are not used.")
    )
    training_consent_cloud = models.BooleanField(
        _("also agreed to training at OpenAI"),
        default=False,
        help_text=_("Without it nothing of theirs is sent there."),
    )

    class Meta:
        verbose_name = _("person")
        verbose_name_plural = _("people")

    def __str__(self) -> str:
        return _("guest") + f" {self.pk}" if self.is_guest else self.get_username()


class ConsentChange(models.Model):
    """Consent to training, given or taken back; `cloud`: also at OpenAI; `wording` is what the person read."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="consent_changes", verbose_name=_("person"))
    given = models.BooleanField(_("given"))
    cloud = models.BooleanField(_("also at OpenAI"), default=False)
    wording = models.TextField(_("wording"), blank=True)
    created = models.DateTimeField(_("when"), auto_now_add=True)

    class Meta:
        ordering = ["created", "pk"]
        verbose_name = _("change of consent")
        verbose_name_plural = _("changes of consent")

    def __str__(self) -> str:
        return f"{self.user}: {'+' if self.given else '-'}"


class ApiToken(models.Model):
    """A bearer token. Only its SHA-256 is stored; the token itself is shown once."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens", verbose_name=_("person"))
    name = models.CharField(_("name"), max_length=100, blank=True)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created = models.DateTimeField(_("created"), auto_now_add=True)
    revoked = models.DateTimeField(_("revoked"), null=True, blank=True)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.name or 'token'} ({self.user})"
