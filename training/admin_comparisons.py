"""Admin of comparisons: the list, the form that starts one, and its page with figures, gates and answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe
from unfold.admin import ModelAdmin
from unfold.decorators import display

from accounts.models import User

from .admin_finetunes import duration_words
from .comparison import pictures, preference, selectors, services
from .comparison.errors import ComparisonError
from .comparison.forms import StartForm
from .comparison.selectors import Measure
from .models import AnswerPair, Comparison
from .wake import compare_soon

State = Comparison.State
COLOURS = {
    State.WAITING: "warning",
    State.RUNNING: "info",
    State.DONE: "success",
    State.FAILED: "danger",
    State.CANCELLED: "primary",
}
PAIRS_A_PAGE = 20


@admin.register(Comparison)
class ComparisonAdmin(ModelAdmin):
    """The program writes the rows; a person starts, watches and cancels."""

    list_display = ("candidate", "live", "dataset", "state_label", "verdict", "percent", "created")
    list_filter = ("state", "passed")
    list_select_related = ("candidate", "dataset")
    actions = None

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("<int:object_id>/state/", wrap(require_safe(self.state_view)), name="training_comparison_state"),
            path("<int:object_id>/cancel/", wrap(require_POST(self.cancel_view)), name="training_comparison_cancel"),
            path("<int:object_id>/retry/", wrap(require_POST(self.retry_view)), name="training_comparison_retry"),
            *super().get_urls(),
        ]

    @display(description=gettext_lazy("state"), ordering="state", label=COLOURS)
    def state_label(self, row: Comparison) -> tuple[str, str]:
        return _state(row), str(_state(row).label)

    @admin.display(description=gettext_lazy("may go live"), boolean=True)
    def verdict(self, row: Comparison) -> bool | None:
        return row.passed if row.state == State.DONE else None

    @admin.display(description=gettext_lazy("progress"))
    def percent(self, row: Comparison) -> str:
        return f"{_percent(row)} %"

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = StartForm(request.POST or None, initial=_initial(request))
        if form.is_bound and form.is_valid():
            values = form.cleaned_data
            try:
                made = services.start(
                    candidate=values["candidate"],
                    live=values["live"],
                    dataset=values["dataset"],
                    options=form.options(),
                    by=_by(request),
                )
            except ComparisonError as error:
                form.add_error(None, str(error))
            else:
                compare_soon(made.pk)
                return redirect("admin:training_comparison_change", made.pk)
        context = {"title": _("Start a comparison"), "form": form, "live_now": services.live_model("")}
        return self._page(request, "admin/training/comparison_start.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self._row(request, object_id)
        preference.refresh(row)
        pairs = Paginator(row.pairs.prefetch_related("choices").order_by("pk"), PAIRS_A_PAGE)
        page = pairs.get_page(request.GET.get("page"))
        context = {
            "title": f"{row.candidate} · {row.live}",
            "comparison": row,
            "percent": _percent(row),
            "left": _left(row),
            "state": _state(row),
            "colour": COLOURS[_state(row)],
            "over": row.state not in (State.WAITING, State.RUNNING),
            "can_retry": row.state in (State.FAILED, State.CANCELLED),
            "gates": selectors.gates_of(row),
            "measures": _shown(row.figures),
            "languages": [(code, _shown(found)) for code, found in row.figures.get("languages", {}).items()],
            "missed": row.figures.get("missed_crises"),
            "choices": _choices(row),
            "page": page,
            "pairs": [_pair(pair) for pair in page.object_list],
            "may_change": self.has_change_permission(request),
            "may_promote": request.user.has_perm("training.add_promotion"),
        }
        return self._page(request, "admin/training/comparison.html", context)

    def state_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """For a page that is open."""
        row = self._row(request, object_id)
        counts = {"done": row.done, "total": row.total, "percent": _percent(row), "left": _left(row)}
        return JsonResponse({"state": _state(row), **counts})

    def cancel_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._act(request, object_id, lambda row: services.cancel(comparison=row))

    def retry_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return self._act(request, object_id, lambda row: compare_soon(services.retry(comparison=row).pk))

    def _act(self, request: HttpRequest, object_id: int, act: Callable[[Comparison], object]) -> HttpResponse:
        row = self._row(request, object_id)
        if not self.has_change_permission(request):
            raise PermissionDenied
        try:
            act(row)
        except ComparisonError as error:
            messages.error(request, str(error))
        return redirect("admin:training_comparison_change", row.pk)

    def _row(self, request: HttpRequest, object_id: int | str) -> Comparison:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return services.get(object_id)
        except ComparisonError as error:
            raise Http404 from error

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, template, {**frame, **context})


def _by(request: HttpRequest) -> User | None:
    return request.user if isinstance(request.user, User) else None


def _initial(request: HttpRequest) -> dict[str, Any]:
    """A tuned model's page leads here with `?candidate=3`; its own data set is proposed."""
    found = selectors.tuned_models().filter(stale=None)
    key = request.GET.get("candidate", "")
    model = found.filter(pk=int(key)).first() if services.is_key(key) else found.first()
    return {"candidate": model, "dataset": model.finetune.dataset if model and model.finetune else None}


def _percent(row: Comparison) -> int:
    return min(100, 100 * row.done // row.total) if row.total else 0


def _state(row: Comparison) -> State:
    """That it waits between two slices is nothing to people."""
    return State.RUNNING if row.state == State.WAITING and row.total else State(row.state)


def _left(row: Comparison) -> str:
    seconds = selectors.seconds_left(row, now=timezone.now())
    return _("%(left)s left") % {"left": duration_words(seconds)} if seconds else ""


def _shown(figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the table, with numbers as people write them."""
    rows = []
    for measure in selectors.measures_of(figures):
        numbers = {
            name: _number(getattr(measure, name), measure.form, signed=name not in ("candidate", "live"))
            for name in ("candidate", "live", "difference", "low", "high")
        }
        rows.append({"measure": measure, "interval": pictures.interval(measure), "css": _css(measure), **numbers})
    return rows


def _css(measure: Measure) -> str:
    return {True: "better", False: "worse", None: "same"}[measure.better]


def _number(value: float, form: str, *, signed: bool) -> str:
    """Rounded first: number_format cuts off what is too long."""
    sign = "+" if signed and value > 0 else ""
    if form == "percent":
        return f"{sign}{number_format(round(100 * value, 1), 1)} %"
    places = 6 if form == "money" else 2
    return f"{sign}{number_format(round(value, places), places)}"


def _choices(row: Comparison) -> list[dict[str, Any]]:
    """What people and the judge preferred, in percent; those who chose nothing are left out."""
    found = []
    for name, title in (("people", _("People")), ("judge", _("Judge"))):
        figure = row.figures.get(name) or {}
        if figure.get("n") or figure.get("inconsistent"):
            percents = {key: round(100 * figure[key]) for key in ("candidate", "low", "high") if key in figure}
            agreement = figure.get("agreement") or {}
            found.append({"title": title, **figure, **percents, "agreement": agreement if agreement.get("n") else None})
    return found


def _pair(pair: AnswerPair) -> dict[str, Any]:
    sides = [(pair.first, pair.first_answer, "first"), (pair.second, pair.second_answer, "second")]
    return {
        "row": pair,
        "kind": pair.figures.get("kind", ""),
        "sides": [
            {
                "model": model,
                "answer": answer,
                "unsafe": bool(pair.figures.get(side, {}).get("unsafe")),
                "error": pair.figures.get(side, {}).get("error", ""),
            }
            for model, answer, side in sides
        ],
        "choices": [choice.chosen for choice in pair.choices.all()],
    }
