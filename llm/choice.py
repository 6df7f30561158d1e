"""Which model of a list is asked next.

The order of the list counts, with these exceptions; each of them is told with a reason:

1. A private request goes to models on this machine only; the others do not exist for it.
2. A model that lacks what the request needs, or whose context is too small for a prompt that nobody can make
   shorter, is passed over (`capability`). So is one with no larger context than another that was too small.
3. A model whose breaker is open is passed over (`unavailable`).
4. A model for which more calls wait than it has slots (`busy`), or whose catalogue entry does not name the
   coachee's language (`capability`), steps back behind those that follow it in the list without another place
   between them: "local first" is never broken for it, and guided mode is never preferred to it.

When nothing could be asked, the models of 2 and 3 are asked after all: an estimate may be wrong, and a server may
be back. But what a request needs by name (JSON, tools, vision) is never asked of guided mode.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from django.utils.translation import gettext as _

from . import capabilities, health
from .errors import ContextTooLong, LanguageModelError, ModelBusy, ModelUnavailable, NotCapable
from .types import ChatRequest, LanguageModel, ModelId, Place

GUIDED = "guided"
Candidate = tuple[ModelId, LanguageModel | LanguageModelError]


class Choice:
    """Iterate over it once: each model to try, or why it is passed over."""

    def __init__(
        self, request: ChatRequest, models: Sequence[ModelId], adapter: Callable[[ModelId], LanguageModel]
    ) -> None:
        self._request = request
        self._models = models
        self._adapter = adapter
        self._next = 0
        self._behind: list[LanguageModel] = []
        self._resting: list[LanguageModel] = []
        self._tried = False
        self._too_small = 0

    def __iter__(self) -> Iterator[Candidate]:
        while self._next < len(self._models):
            model_id = self._models[self._next]
            self._next += 1
            try:
                model = self._adapter(model_id)
            except LanguageModelError as error:
                yield model_id, error
                continue
            if not self._allowed(model):
                continue
            if self._behind and (model_id.provider == GUIDED or model.place is not self._behind[0].place):
                yield from self._those_behind()
            yield self._judged(model)
        yield from self._those_behind()
        if not self._tried:
            for model in self._resting:
                yield model.id, model

    def failed(self, model: LanguageModel, error: LanguageModelError | None) -> None:
        """Where a context was too small for the prompt, one that is no larger need not be tried."""
        if isinstance(error, ContextTooLong):
            self._too_small = max(self._too_small, model.context_tokens)

    def others_left(self) -> bool:
        """Whether a language model (guided mode is none) is still to be tried that would be asked now."""
        return bool(self._behind) or any(self._free(model) for model in self._following())

    def _following(self) -> Iterator[LanguageModel]:
        for model_id in self._models[self._next :]:
            if model_id.provider == GUIDED:
                continue
            try:
                model = self._adapter(model_id)
            except LanguageModelError:
                continue
            if self._allowed(model):
                yield model

    def _judged(self, model: LanguageModel) -> Candidate:
        lacking = self._lacking(model)
        if lacking is not None:
            if model.id.provider != GUIDED or not self._request.needs:
                self._resting.append(model)
            return model.id, lacking
        weaker = self._weaker(model)
        if weaker is not None and self._better_follows(model):
            self._behind.append(model)
            return model.id, weaker
        return self._unless_resting(model)

    def _unless_resting(self, model: LanguageModel) -> Candidate:
        if health.may_try(model.id):
            self._tried = True
            return model.id, model
        self._resting.append(model)
        return model.id, ModelUnavailable(health.record(model.id).last_error)

    def _those_behind(self) -> Iterator[Candidate]:
        while self._behind:
            yield self._unless_resting(self._behind.pop(0))

    def _better_follows(self, model: LanguageModel) -> bool:
        for other in self._following():
            if other.place is not model.place:
                return False
            if self._free(other) and self._weaker(other) is None:
                return True
        return False

    def _allowed(self, model: LanguageModel) -> bool:
        return not self._request.private or model.place is Place.LOCAL

    def _free(self, model: LanguageModel) -> bool:
        return self._lacking(model) is None and not health.is_resting(model.id)

    def _lacking(self, model: LanguageModel) -> NotCapable | None:
        if not capabilities.has_features(model, self._request):
            return NotCapable(
                _("%(model)s cannot do what is needed: %(needs)s.")
                % {"model": model.id, "needs": ", ".join(sorted(self._request.needs))}
            )
        if model.context_tokens <= self._too_small or not capabilities.has_room(model, self._request):
            return NotCapable(_("The conversation is too long for %(model)s; start a new one.") % {"model": model.id})
        return None

    def _weaker(self, model: LanguageModel) -> LanguageModelError | None:
        slots = capabilities.slots(model.id)
        if slots is not None and health.record(model.id).running - slots > slots:
            return ModelBusy(_("Too many are waiting for %(model)s.") % {"model": model.id})
        if not capabilities.speaks(model, self._request.language):
            return NotCapable(_("%(model)s does not speak this language well.") % {"model": model.id})
        return None
