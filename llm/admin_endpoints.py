"""Admin of model servers: where they are, a key that can be written but never read, and whether they answer."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminTextInputWidget, UnfoldBooleanSwitchWidget

from . import endpoints
from .models import Endpoint
from .providers.places import place_of
from .types import Place


class EndpointForm(forms.ModelForm):  # type: ignore[type-arg]  # not subscriptable when it runs
    """`address` stands for the field `url`, whose own check knows no names without a dot (`http://vllm:8000/v1`)."""

    address = forms.CharField(
        label=gettext_lazy("base URL"),
        max_length=200,
        help_text=gettext_lazy("Ends in /v1 for most servers."),
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "http://127.0.0.1:8000/v1", "spellcheck": "false"}),
    )
    key = forms.CharField(
        label=gettext_lazy("key"),
        required=False,
        help_text=gettext_lazy("Kept encrypted and never shown again. Leave it empty to keep the one that is there."),
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
    )
    without_key = forms.BooleanField(
        label=gettext_lazy("remove the key"), required=False, widget=UnfoldBooleanSwitchWidget()
    )

    class Meta:
        model = Endpoint
        fields = ("slug", "context_tokens")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["address"].initial = self.instance.url

    def clean_address(self) -> str:
        address = str(self.cleaned_data["address"]).strip().rstrip("/")
        problem = endpoints.problem_with(address)
        if problem:
            raise forms.ValidationError(problem)
        return address

    def clean_key(self) -> str:
        key = str(self.cleaned_data["key"]).strip()
        if not key.isascii() or not key.isprintable():
            raise forms.ValidationError(_("A key has only plain letters, digits and signs; copy it again."))
        return key

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or self.cleaned_data
        address, key = values.get("address"), values.get("key")
        kept = self.instance.secret and not key and not values.get("without_key")
        if kept and address and not endpoints.same_origin(self.instance.url, address):
            self.add_error("key", _("This is another server: enter its key, or remove the one that is there."))
        return values

    def save(self, commit: bool = True) -> Any:
        self.instance.url = self.cleaned_data["address"]
        if self.cleaned_data["key"] or self.cleaned_data["without_key"]:
            endpoints.set_key(endpoint=self.instance, key=self.cleaned_data["key"])
        return super().save(commit)


@admin.register(Endpoint)
class EndpointAdmin(ModelAdmin):
    form = EndpointForm
    list_display = ("slug", "url", "has_key", "place", "written_as")
    search_fields = ("slug", "url")
    fields = ("slug", "address", "key", "without_key", "context_tokens")
    actions = ("test_chosen",)
    actions_submit_line = ("save_and_test",)

    def get_readonly_fields(self, request: HttpRequest, obj: Endpoint | None = None) -> tuple[str, ...]:
        """Coaches name a server by its short name: it stays."""
        return ("slug",) if obj else ()

    def get_fields(self, request: HttpRequest, obj: Endpoint | None = None) -> list[str]:
        return [name for name in self.fields if name != "without_key" or (obj is not None and obj.secret)]

    @display(description=gettext_lazy("key"), boolean=True)  # type: ignore[untyped-decorator]
    def has_key(self, endpoint: Endpoint) -> bool:
        return bool(endpoint.secret)

    @display(description=gettext_lazy("where it runs"), label={"cloud": "warning", "local": "success"})  # type: ignore[untyped-decorator]
    def place(self, endpoint: Endpoint) -> tuple[str, str]:
        place = place_of(endpoint.url)
        return place.value, _("cloud") if place is Place.CLOUD else _("own network")

    @display(description=gettext_lazy("written as"))  # type: ignore[untyped-decorator]
    def written_as(self, endpoint: Endpoint) -> str:
        return f"openai:NAME@{endpoint.slug}"

    @action(description=gettext_lazy("Save and test"), permissions=["change"])  # type: ignore[untyped-decorator]
    def save_and_test(self, request: HttpRequest, obj: Endpoint) -> None:
        self._test(request, obj)

    @action(description=gettext_lazy("Test whether they answer"), permissions=["change"])  # type: ignore[untyped-decorator]
    def test_chosen(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        for endpoint in queryset:
            self._test(request, endpoint)

    def _test(self, request: HttpRequest, endpoint: Endpoint) -> None:
        found = endpoints.ask(endpoint)
        self.message_user(request, found.detail, messages.SUCCESS if found.ok else messages.ERROR)

    def save_model(self, request: HttpRequest, obj: Endpoint, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        endpoints.forget()

    def delete_model(self, request: HttpRequest, obj: Endpoint) -> None:
        super().delete_model(request, obj)
        endpoints.forget()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Endpoint]) -> None:
        super().delete_queryset(request, queryset)
        endpoints.forget()
