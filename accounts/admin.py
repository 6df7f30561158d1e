"""Admin of people and their API tokens."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.debug import sensitive_variables
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelect2MultipleWidget, UnfoldAdminSelectWidget

from . import services
from .models import ApiToken, User

# Groups would be one more thing to explain; rights are given to people.
admin.site.unregister(Group)
# Rights on Django's own tables (sessions, content types) would let nobody do anything here.
APPS = ("accounts", "llm", "knowledge", "coach", "training")


@admin.register(User)
class PersonAdmin(DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "kind", "email", "language", "last_login", "date_joined", "active_label")
    list_filter = ("is_guest", "is_staff", "is_superuser", "is_active")
    search_fields = ("username", "email", "first_name", "last_name")
    ordering = ("-date_joined",)
    list_before_template = "admin/accounts/invite_link.html"
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (gettext_lazy("About the person"), {"fields": ("first_name", "last_name", "email", "language")}),
        (
            gettext_lazy("Rights"),
            {
                "fields": ("is_active", "is_staff", "is_superuser", "user_permissions"),
                "description": gettext_lazy(
                    "Staff may open this panel and see what their rights name; an administrator may do everything."
                ),
            },
        ),
        (gettext_lazy("Dates"), {"fields": ("last_login", "date_joined")}),
    )

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "language":
            choices = [("", _("the browser's language")), *settings.LANGUAGES]
            return forms.ChoiceField(
                choices=choices, required=False, label=capfirst(db_field.verbose_name), widget=UnfoldAdminSelectWidget()
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name != "user_permissions":
            return super().formfield_for_manytomany(db_field, request, **kwargs)
        rights = Permission.objects.filter(content_type__app_label__in=APPS).select_related("content_type")
        widget = UnfoldAdminSelect2MultipleWidget()
        marks = widget.attrs["class"]
        field: Any = super().formfield_for_manytomany(db_field, request, **kwargs, queryset=rights, widget=widget)
        # Unfold gives every multiple choice the looks of a plain list; these marks make it searchable again.
        field.widget.attrs["class"] = marks
        field.help_text = _("What a staff member may see and do here; not needed for administrators.")
        return field

    def get_urls(self) -> list[Any]:
        invite = self.admin_site.admin_view(self.invite_view)
        return [path("invite/", invite, name="accounts_user_invite"), *super().get_urls()]

    @display(
        description=gettext_lazy("kind"),
        label={"guest": "info", "person": "primary", "staff": "warning", "admin": "success"},
        ordering="is_guest",
    )
    def kind(self, person: User) -> tuple[str, str]:
        if person.is_superuser:
            return "admin", _("administrator")
        if person.is_staff:
            return "staff", _("staff")
        return ("guest", _("guest")) if person.is_guest else ("person", _("person"))

    @display(description=gettext_lazy("active"), boolean=True, ordering="is_active")
    def active_label(self, person: User) -> bool:
        return person.is_active

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        invites = settings.COACH_SIGNUP == "invite" and self.has_add_permission(request)
        return super().changelist_view(request, {**(extra_context or {}), "may_invite": invites})

    @sensitive_variables("link")
    def invite_view(self, request: HttpRequest) -> HttpResponse:
        """A link that lets people sign up for a week; made by POST, shown and not stored."""
        if settings.COACH_SIGNUP != "invite" or request.method != "POST":
            raise Http404
        if not self.has_add_permission(request):
            raise PermissionDenied
        link = request.build_absolute_uri(
            f"{reverse('signup')}?invite={services.create_invitation(note=request.user.get_username())}"
        )
        return _show_once(
            self,
            request,
            heading=_("Invitation link"),
            explanation=_("Send this link to those you invite. It works for a week, for any number of people."),
            secret=link,
        )

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[Any]]:
        """Names and counts: what belongs to a person goes with the person, and its texts are private."""
        _texts, counts, _lacking, protected = super().get_deleted_objects(objs, request)
        names = [f"{capfirst(self.opts.verbose_name)}: {person}" for person in objs]
        lacking = set() if self.has_delete_permission(request) else {str(self.opts.verbose_name)}
        return names, counts, lacking, protected


class TokenForm(forms.ModelForm):
    class Meta:
        model = ApiToken
        fields = ("user", "name")
        help_texts = {"name": gettext_lazy("What it is for, so that you know later which one to revoke.")}


@admin.register(ApiToken)
class ApiTokenAdmin(ModelAdmin):
    form = TokenForm
    list_display = ("label", "user", "created", "state")
    list_filter = (("revoked", admin.EmptyFieldListFilter),)
    list_select_related = ("user",)
    search_fields = ("name", "user__username")
    autocomplete_fields = ("user",)
    actions = ("revoke_chosen",)
    ordering = ("-created",)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return not lookup.startswith("digest") and super().lookup_allowed(lookup, value, request)

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        # In the list: needed for the revoke action. A single token has nothing to edit.
        return obj is None and super().has_change_permission(request)

    @display(description=gettext_lazy("name"), ordering="name")
    def label(self, token: ApiToken) -> str:
        return token.name or _("without a name")

    @display(description=gettext_lazy("state"), label={"valid": "success", "revoked": "danger"}, ordering="revoked")
    def state(self, token: ApiToken) -> tuple[str, str]:
        return ("revoked", _("revoked")) if token.revoked else ("valid", _("valid"))

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> tuple[str, ...]:
        return ("user", "name", "created", "revoked") if obj else ("user", "name")

    @sensitive_variables("token")
    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        """The service makes the row; the clear token lives on the form until the answer is written."""
        token = services.create_token(user=obj.user, name=obj.name)
        stored = ApiToken.objects.get(digest=services.token_digest(token))
        obj.pk, obj.digest, obj.created = stored.pk, stored.digest, stored.created
        request.new_api_token = token  # type: ignore[attr-defined]

    @sensitive_variables("token")
    def response_add(self, request: HttpRequest, obj: ApiToken, post_url_continue: Any = None) -> HttpResponse:
        token: str = request.new_api_token  # type: ignore[attr-defined]
        return _show_once(
            self,
            request,
            heading=_("The new API token"),
            explanation=_("Copy it now: it is shown only this once. Only its fingerprint is stored here."),
            secret=token,
            example=f"curl -H 'Authorization: Bearer {token}' {request.build_absolute_uri('/api/v1/conversations')}",
        )

    @admin.action(description=gettext_lazy("Revoke (they stop working at once)"), permissions=["change"])
    def revoke_chosen(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        valid = list(queryset.filter(revoked=None))
        for token in valid:
            services.revoke_token(token=token)
        text = ngettext("%(n)d token was revoked.", "%(n)d tokens were revoked.", len(valid)) % {"n": len(valid)}
        self.message_user(request, text, messages.SUCCESS if valid else messages.WARNING)


@sensitive_variables("context")
def _show_once(model_admin: ModelAdmin, request: HttpRequest, **context: str) -> HttpResponse:
    """A page with a secret: written into this one answer, never stored in a session, a message or a cache."""
    request.current_app = model_admin.admin_site.name
    opts = model_admin.opts
    frame = {**model_admin.admin_site.each_context(request), "opts": opts, "title": context["heading"]}
    back = reverse(f"admin:{opts.app_label}_{opts.model_name}_changelist")
    response = TemplateResponse(request, "admin/accounts/secret.html", {**frame, "back": back, **context})
    response["Cache-Control"] = "no-store"
    return response
