"""Admin of data sets: the list, the form with a live funnel, the page of one, and the review of its examples."""

from __future__ import annotations

import json
import re
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from unfold.admin import ModelAdmin
from unfold.decorators import display

from coach.errors import NotFound, Refusal

from .admin_exports import counted, funnel_part
from .datasets import services
from .datasets.examples import question_of
from .datasets.personal import KINDS, LIMITS
from .exports.form import DataSetForm
from .models import DataSet, Example
from .wake import build_soon

COLOURS = {"frozen": "success", "building": "info", "review": "warning", "failed": "danger", "cancelled": "primary"}
DOTS = {"frozen": "ready", "building": "processing", "review": "pending", "failed": "failed"}
ON_A_PAGE, MOST_AT_ONCE = 20, 500
_PLACEHOLDER = re.compile(r"(\[[A-Z]+_\d+\])")
State = DataSet.State


@admin.register(DataSet)
class DataSetAdmin(ModelAdmin):
    """The program writes the rows; a person asks for one, approves examples and freezes it."""

    list_display = ("name", "kind", "state_label", "synthetic", "stale", "created_by", "created", "frozen")
    list_filter = ("state", "kind", "synthetic")
    list_select_related = ("created_by",)
    search_fields = ("name",)
    actions = None

    def get_urls(self) -> list[Any]:
        views = {"live": self.live_view, "cancel": self.cancel_view, "freeze": self.freeze_view}
        views |= {"review": self.review_view, "judge": self.judge_view, "edit": self.edit_view}
        views |= {"manifest": self.manifest_view, "approve-all": self.approve_all_view}
        wrap = self.admin_site.admin_view
        own = [
            path(f"<int:dataset_id>/{name}/", wrap(view), name=f"training_dataset_{name.replace('-', '_')}")
            for name, view in views.items()
        ]
        return [path("funnel/", wrap(self.funnel_view), name="training_dataset_funnel"), *own, *super().get_urls()]

    @display(description=gettext_lazy("state"), ordering="state", label=COLOURS)
    def state_label(self, dataset: DataSet) -> tuple[str, str]:
        return dataset.state, str(dataset.get_state_display())

    def has_delete_permission(self, request: HttpRequest, obj: DataSet | None = None) -> bool:
        """One that a model was trained on stays."""
        return super().has_delete_permission(request, obj) and (obj is None or not obj.finetunes.exists())

    # --- build -----------------------------------------------------------------------------------

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = DataSetForm(request.POST or None)
        if form.is_bound and form.is_valid():
            try:
                values = {name: form.cleaned_data[name] for name in ("name", "kind", "held_out", "seed")}
                dataset = services.create(**values, given=form.given(), by=request.user)
            except Refusal as error:
                form.add_error(None, str(error))
            else:
                build_soon(dataset.pk)
                return redirect("admin:training_dataset_change", dataset.pk)
        context = {
            "title": _("Build a data set"),
            "heading": _("What it is made of"),
            "form": form,
            "funnel_url": reverse("admin:training_dataset_funnel"),
        }
        return self._page(request, "admin/training/dataset_start.html", context)

    def funnel_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        return funnel_part(request, DataSetForm(request.GET))

    # --- one of them -----------------------------------------------------------------------------

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        dataset = self._dataset(request, object_id)
        context = {**self._shown(request, dataset), "title": dataset.name}
        return self._page(request, "admin/training/dataset.html", context)

    def live_view(self, request: HttpRequest, dataset_id: int) -> HttpResponse:
        """The part of the page that changes while it is built."""
        context = self._shown(request, self._dataset(request, dataset_id))
        return TemplateResponse(request, "admin/training/dataset_live.html", context)

    def cancel_view(self, request: HttpRequest, dataset_id: int) -> HttpResponse:
        return self._act(request, dataset_id, lambda dataset: services.cancel(dataset_id=dataset.pk))

    def freeze_view(self, request: HttpRequest, dataset_id: int) -> HttpResponse:
        return self._act(request, dataset_id, lambda dataset: services.freeze(dataset=dataset, by=request.user))

    def approve_all_view(self, request: HttpRequest, dataset_id: int) -> HttpResponse:
        approved = Example.State.APPROVED
        return self._act(
            request, dataset_id, lambda dataset: services.decide(dataset=dataset, state=approved, by=request.user)
        )

    def manifest_view(self, request: HttpRequest, dataset_id: int) -> HttpResponse:
        dataset = self._dataset(request, dataset_id)
        text = json.dumps(dataset.manifest, ensure_ascii=False, indent=2)
        headers = {"Content-Disposition": f'attachment; filename="dataset-{dataset.pk}-manifest.json"'}
        return HttpResponse(text, content_type="application/json", headers=headers)

    def _act(self, request: HttpRequest, dataset_id: int, act: Any) -> HttpResponse:
        dataset = self._dataset(request, dataset_id)
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        try:
            act(dataset)
        except Refusal as error:
            messages.error(request, str(error))
        return redirect("admin:training_dataset_change", dataset.pk)

    def _shown(self, request: HttpRequest, dataset: DataSet) -> dict[str, Any]:
        counts = dataset.counts
        built = dataset.state in (State.REVIEW, State.FROZEN) and "turns" in counts
        whole = {"in": counts["turns"], "out": counts["examples"], "left_out": counts["left_out"]} if built else None
        return {
            "dataset": dataset,
            "dot": DOTS.get(dataset.state, ""),
            "over": dataset.state != State.BUILDING,
            "in_review": dataset.state == State.REVIEW,
            "is_frozen": dataset.state == State.FROZEN,
            "counts": counted(whole) if whole else None,
            "replaced": _replaced(counts.get("replaced", {})) if built else [],
            "parts": _parts(services.by_state(dataset)),
            "limits": _(LIMITS),
            "may_change": self.has_change_permission(request),
            "may_delete": self.has_delete_permission(request, dataset),
            "live": reverse("admin:training_dataset_live", args=[dataset.pk]),
        }

    # --- review ----------------------------------------------------------------------------------

    def review_view(self, request: HttpRequest, dataset_id: int) -> HttpResponse:
        dataset = self._dataset(request, dataset_id)
        state = request.GET.get("state", Example.State.PROPOSED)
        state = state if state in Example.State.values else Example.State.PROPOSED
        rows = dataset.examples.filter(state=state).select_related("turn").order_by("pk")
        page = Paginator(rows, ON_A_PAGE).get_page(request.GET.get("page"))
        states = services.by_state(dataset)
        sums = {value: sum(part[value] for part in states.values()) for value in Example.State.values}
        # The original holds personal data: for those who may read conversations.
        original = request.user.has_perm("coach.view_turn")
        context = {
            "title": _("Examples of %(name)s") % {"name": dataset.name},
            "dataset": dataset,
            "state": state,
            "states": [(value, label, sums[value], value == state) for value, label in Example.State.choices],
            "page": page,
            "rows": [_row(example, original, bool(dataset.filter.get("history"))) for example in page],
            "limits": _(LIMITS),
            "may_change": dataset.state == State.REVIEW and self.has_change_permission(request),
            "review_config": {
                "judge": reverse("admin:training_dataset_judge", args=[dataset.pk]),
                "edit": reverse("admin:training_dataset_edit", args=[dataset.pk]),
                "texts": {
                    "chosen": _("%s chosen"),
                    "unreachable": _("The server could not be reached. Check the connection and try again."),
                },
            },
        }
        return self._page(request, "admin/training/dataset_review.html", context)

    def judge_view(self, request: HttpRequest, dataset_id: int) -> JsonResponse:
        """`{"ids": [1, …], "state": "approved"}` → `{"message"}`"""

        def judge(dataset: DataSet, body: dict[str, Any]) -> dict[str, Any]:
            ids = [int(one) for one in body["ids"]][:MOST_AT_ONCE]
            n = services.decide(dataset=dataset, state=str(body["state"]), by=request.user, examples=ids)
            return {"message": ngettext("%(n)d example changed", "%(n)d examples changed", n) % {"n": n}}

        return self._answer(request, dataset_id, judge)

    def edit_view(self, request: HttpRequest, dataset_id: int) -> JsonResponse:
        """`{"id", "question", "answer"}` → `{"question", "answer"}` as they are stored"""

        def edit(dataset: DataSet, body: dict[str, Any]) -> dict[str, Any]:
            example = services.example(dataset=dataset, example_id=int(body["id"]))
            texts = {name: str(body[name]) for name in ("question", "answer")}
            example = services.edit(example=example, by=request.user, **texts)
            return {"question": question_of(example), "answer": example.answer}

        return self._answer(request, dataset_id, edit)

    def _answer(self, request: HttpRequest, dataset_id: int, act: Any) -> JsonResponse:
        dataset = self._dataset(request, dataset_id)
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        try:
            return JsonResponse(act(dataset, json.loads(request.body)))
        except Refusal as error:
            return JsonResponse({"code": error.code, "message": str(error)}, status=error.status)
        except (ValueError, KeyError, TypeError):
            return JsonResponse(
                {"code": "invalid", "message": _("This could not be read; reload the page.")}, status=422
            )

    def _dataset(self, request: HttpRequest, dataset_id: Any) -> DataSet:
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            return services.get(int(dataset_id))
        except (NotFound, ValueError) as error:
            raise Http404 from error

    def _page(self, request: HttpRequest, template: str, context: dict[str, Any]) -> HttpResponse:
        request.current_app = self.admin_site.name
        frame = self.admin_site.each_context(request)
        return TemplateResponse(request, template, {**frame, "opts": self.opts, **context})


def _parts(states: dict[str, dict[str, int]]) -> list[tuple[str, list[tuple[str, int]]]]:
    """(label of the part, (label of the state, number) …)"""
    labels = dict(Example.State.choices)
    return [
        (str(dict(Example.Split.choices)[split]), [(str(labels[state]), n) for state, n in some.items()])
        for split, some in states.items()
    ]


def _row(example: Example, original: bool, history: bool) -> dict[str, Any]:
    """An example with its replaced parts to highlight, and the turn as it was for those who may read it."""
    earlier = [message for message in example.prompt[:-1] if message["role"] != "system"] if history else []
    turn = example.turn if original else None
    return {
        "example": example,
        "earlier": [(message["role"], _pieces(message["content"])) for message in earlier],
        "question": _pieces(question_of(example)),
        "answer": _pieces(example.answer),
        "rejected": _pieces(example.rejected),
        "before": example.prompt,
        "turn": turn,
        "replaced": _replaced(example.replaced),
    }


def _replaced(counts: dict[str, int]) -> list[tuple[str, int]]:
    return [(str(KINDS.get(kind, kind)), n) for kind, n in sorted(counts.items())]


def _pieces(text: str) -> list[tuple[bool, str]]:
    """(whether it stands for what was replaced, text)"""
    return [(number % 2 == 1, piece) for number, piece in enumerate(_PLACEHOLDER.split(text)) if piece]
