"""`python -m launcher`: what `manage.py up` becomes once the settings are read, without Django in memory."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from . import console
from .errors import StartError
from .plan import PLAN_VARIABLE, Plan
from .start import Start
from .supervisord import NoAnswer

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    plan = Plan.from_json(os.environ.pop(PLAN_VARIABLE))
    start = Start(plan)
    _interrupt_on(STOP_SIGNALS, start)
    code = 0
    try:
        start.run()
    except StartError as error:
        console.complain(str(error))
        code = 1
    except (OSError, NoAnswer) as error:
        console.complain(f"The start failed ({error}); the logs are in {plan.log_dir}.")
        code = 1
    except KeyboardInterrupt:
        console.say("\nStopping; press Ctrl-C again to stop at once.")
    finally:
        try:
            _kill_on(STOP_SIGNALS, start)
        finally:  # whatever comes in between
            start.stop()
    return code


def _interrupt_on(signals: tuple[signal.Signals, ...], start: Start) -> None:
    """The first one interrupts, and already at that moment the second one kills: it may follow at once."""

    def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
        _kill_on(signals, start)
        raise KeyboardInterrupt

    for number in signals:
        signal.signal(number, interrupt)


def _kill_on(signals: tuple[signal.Signals, ...], start: Start) -> None:
    def kill(_number: int, _frame: FrameType | None) -> NoReturn:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        start.kill()
        os._exit(130)

    for number in signals:
        signal.signal(number, kill)


if __name__ == "__main__":
    sys.exit(main())
