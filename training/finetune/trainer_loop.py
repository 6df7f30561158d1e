"""Training itself: steps, looks at the held-out examples, early stop, checkpoints.

One example is read at a time and a step sums up `batch` of them: nothing is padded, so an example's loss does not
depend on its neighbours, and the memory needed is that of the longest example.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import trainer_model, trainer_state
from .trainer_data import Item, Sample
from .trainer_job import Reporter, Spec, Stop, Stopped, TrainerError
from .trainer_state import Progress

WARM_UP = 0.05  # share of the steps in which the learning rate grows
LAST_RATE = 0.1  # share of the learning rate that is left at the end
LOOKS_AN_EPOCH = 2
MOST_HELD_OUT = 200
BETTER = 1e-4
DECAY = 0.0
LONGEST_GRADIENT = 1.0
CHECKPOINT_SECONDS = 60.0  # or after so many steps, whatever comes first


class Loop:
    """`run()` trains from the last checkpoint on, and leaves the best weights in the model."""

    def __init__(
        self, *, folder: Path, spec: Spec, model: Any, train: list[Item], held_out: list[Item], reporter: Reporter
    ) -> None:
        import torch

        self.spec, self.model, self.train = spec, model, train
        self._folder, self._reporter, self._held_out = folder, reporter, held_out[:MOST_HELD_OUT]
        self._options = spec.options
        self._batch = min(int(self._options["batch"]), len(train))
        self._steps_an_epoch = math.ceil(len(train) / self._batch)
        self.total = self._steps_an_epoch * int(self._options["epochs"])
        self._look_every = max(1, self._steps_an_epoch // LOOKS_AN_EPOCH)
        self._parameters = trainer_model.trained(model)
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=float(self._options["learning_rate"]), weight_decay=DECAY
        )
        self.progress = Progress()
        self._stop: Stop | None = None
        self._saved = time.monotonic()
        self._best: dict[str, Any] = {}
        self._references: dict[int, tuple[float, float]] = {}

    def run(self, stop: Stop) -> Progress:
        """Raises Stopped after a checkpoint, TrainerError, OSError when the disk is full."""
        import torch

        resumed, self._stop = self._resume(), stop
        drawn = torch.get_rng_state()
        try:
            if not resumed:
                self._look()
                self.progress.before = self.progress.best
            while self.progress.step < self.total and not self._enough():
                drawn = torch.get_rng_state()
                self._step()
        except Stopped as stopped:
            if stopped.why == "paused":
                torch.set_rng_state(drawn)  # a step that was begun is done again as a whole
                self._save()
            raise
        if self._best:
            trainer_state.put(self._parameters, self._best)
        return self.progress

    def _resume(self) -> bool:
        state = trainer_state.newest(self._folder)
        if state is None:
            return False
        self._best = state["best"]
        self.progress = trainer_state.restore(state, self._parameters, self._optimizer)
        self._reporter.tell("note", code="resumed", values={"step": self.progress.step})
        return True

    def _enough(self) -> bool:
        patience = int(self._options["early_stop"])
        return bool(patience and self._held_out and self.progress.worse >= patience)

    def _step(self) -> None:
        began, step = time.monotonic(), self.progress.step
        for group in self._optimizer.param_groups:
            group["lr"] = float(self._options["learning_rate"]) * rate(step, self.total)
        self.model.train()
        loss = self._learn(self._items_of(step))
        if not math.isfinite(loss):
            raise TrainerError("diverged", step=step + 1)
        self.progress.step = step + 1
        self.progress.seconds += time.monotonic() - began
        self._tell_step(loss)
        if self.progress.step % self._look_every == 0 or self.progress.step == self.total:
            self._look()
        late = time.monotonic() - self._saved > CHECKPOINT_SECONDS
        if late or self.progress.step % self.spec.checkpoint_every == 0:
            self._save()

    def _items_of(self, step: int) -> list[Item]:
        """The same for the same seed, however often the job was interrupted."""
        epoch, number = divmod(step, self._steps_an_epoch)
        order = list(range(len(self.train)))
        random.Random(f"{self._options['seed']}:{epoch}").shuffle(order)  # noqa: S311 - an order, no secret
        return [self.train[place] for place in order[number * self._batch : (number + 1) * self._batch]]

    def _learn(self, items: Sequence[Item]) -> float:
        import torch

        self._optimizer.zero_grad(set_to_none=True)
        weight = 1 / (len(items) if self.spec.method == "dpo" else sum(_answer_tokens(item.chosen) for item in items))
        total = 0.0
        for item in items:
            if self._stop is not None:
                self._stop.check()
            loss = self._loss(item) * weight
            loss.backward()
            total += float(loss.detach())
        torch.nn.utils.clip_grad_norm_(self._parameters.values(), LONGEST_GRADIENT)
        self._optimizer.step()
        return total

    def _loss(self, item: Item) -> Any:
        """By examples: the sum over the answer's tokens. By preferences: that of DPO (Rafailov et al. 2023, eq. 7)."""
        import torch

        if item.rejected is None:
            return -log_likelihoods(self.model, item.chosen).sum()
        chosen, rejected = self._reference(item)
        ahead = log_likelihoods(self.model, item.chosen).sum() - chosen
        behind = log_likelihoods(self.model, item.rejected).sum() - rejected
        return -torch.nn.functional.logsigmoid(float(self._options["beta"]) * (ahead - behind))

    def _reference(self, item: Item) -> tuple[float, float]:
        """What the base, without the LoRA, thinks of both answers; it never changes."""
        import torch

        found = self._references.get(id(item))
        if found is None:
            training = self.model.training
            self.model.eval()
            with torch.no_grad(), self.model.disable_adapter():
                sums = [float(log_likelihoods(self.model, one).sum()) for one in (item.chosen, item.rejected) if one]
            self.model.train(training)
            found = self._references[id(item)] = (sums[0], sums[1])
        return found

    def _look(self) -> None:
        """The loss on what it does not learn from; remembers the weights when they are the best so far."""
        loss = held_out_loss(self, self._held_out)
        self._reporter.tell("held_out", step=self.progress.step, loss=loss)
        if loss is None or self.progress.best is None or loss < self.progress.best - BETTER:
            self.progress.best, self.progress.best_step, self.progress.worse = loss, self.progress.step, 0
            self._best = trainer_state.copy(self._parameters)
        else:
            self.progress.worse += 1

    def _tell_step(self, loss: float) -> None:
        done = self.progress.step
        left = self.progress.seconds / done * (self.total - done)
        self._reporter.tell("step", step=done, total=self.total, loss=round(loss, 5), seconds_left=round(left, 1))

    def _save(self) -> None:
        self._saved = time.monotonic()
        trainer_state.save(
            self._folder, self.progress, trainer_state.copy(self._parameters), self._best, self._optimizer
        )


def log_likelihoods(model: Any, sample: Sample) -> Any:
    """Of each token of the answer, given all before it; only their logits are computed."""
    import torch

    ids = torch.tensor([sample.ids], device=model.device)
    places = torch.arange(sample.start - 1, len(sample.ids) - 1, device=model.device)
    logits = model(input_ids=ids, logits_to_keep=places).logits[0].float()
    return -torch.nn.functional.cross_entropy(logits, ids[0, sample.start :], reduction="none")


def held_out_loss(loop: Loop, items: Sequence[Item]) -> float | None:
    """A token's mean (by examples) or a pair's (by preferences); None without held-out examples."""
    import torch

    if not items:
        return None
    loop.model.eval()
    with torch.no_grad():
        total = sum(float(loop._loss(item)) for item in items)
    count = len(items) if loop.spec.method == "dpo" else sum(_answer_tokens(item.chosen) for item in items)
    return total / count


def rate(step: int, total: int) -> float:
    """Share of the learning rate: it grows in the first steps, then falls in a straight line."""
    warm = max(1, int(total * WARM_UP))
    if step < warm:
        return (step + 1) / warm
    return LAST_RATE + (1 - LAST_RATE) * (total - step) / max(1, total - warm)


def _answer_tokens(sample: Sample) -> int:
    return len(sample.ids) - sample.start
