"""`python -m tests.fuzz.play --inputs 1000000`: try many inputs in one process, and name those that break it.

Each may take MOST_SECONDS, all together MOST_BYTES of memory. `python -m tests.fuzz.play dag --number 123` tries one
again.
"""

import argparse
import faulthandler
import os
import resource
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from tempfile import gettempdir
from types import FrameType

from tests.fuzz.targets import TARGETS, attempt

MOST_SECONDS = 5
"""Of processor time."""
MOST_BYTES = 2 * 2**30
HANGS_AFTER = 300
"""Seconds after which even code that answers no signal is ended, with the hundred inputs that it is at."""
SHOWN = 5
"""Finds of a kind that are shown in full."""


class TooSlow(BaseException):
    """Not an Exception: nothing that catches those may take it for its own."""


def _too_slow(signum: int, frame: FrameType | None) -> None:
    raise TooSlow


def play(name: str, numbers: range) -> list[str]:
    """Return the failures of these inputs of a target."""
    found: list[str] = []
    kinds: Counter[str] = Counter()
    for number in numbers:
        signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
        try:
            attempt(name, number)
        except (Exception, TooSlow) as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            kind = f"{type(error).__name__} at {Path(last.filename).name}:{last.lineno}"
            kinds[kind] += 1
            if kinds[kind] <= SHOWN:
                found.append(f"{name} {number}: {kind}: {str(error)[:200]}")
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    return found + [f"{name}: {kind}: {count} times" for kind, count in kinds.items() if count > SHOWN]


def run(inputs: int, first: int, names: list[str]) -> int:
    """Try so many inputs, shared among the targets; 1 if something was found."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    signal.signal(signal.SIGPROF, _too_slow)
    chances = {name: TARGETS[name][1] for name in names}
    began, finds = time.monotonic(), 0
    place = Path(gettempdir()) / f"tradewind-fuzz-{os.getpid()}"
    print(f"if this process dies, {place} says at what it was", flush=True)
    for name, chance in chances.items():
        started, count = time.monotonic(), inputs * chance // sum(chances.values())
        for begin in range(first, first + count, 100):
            place.write_text(f"{name} {begin}")
            faulthandler.dump_traceback_later(HANGS_AFTER, exit=True)
            for text in play(name, range(begin, min(begin + 100, first + count))):
                finds += 1
                print(text, flush=True)
        print(f"{name}: {count} inputs, {count / max(0.001, time.monotonic() - started):.0f} a second", flush=True)
    faulthandler.cancel_dump_traceback_later()
    place.unlink()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{finds} finds in {inputs} inputs, {time.monotonic() - began:.0f} s, at most {memory} MiB")
    return 1 if finds else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=[], help=f"of {', '.join(TARGETS)}; all unless given")
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--number", type=int, help="only this input, with the traceback")
    arguments = parser.parse_args()
    names = arguments.targets or list(TARGETS)
    if arguments.number is not None:
        attempt(names[0], arguments.number)
        return 0
    return run(arguments.inputs, arguments.first, names)


if __name__ == "__main__":
    sys.exit(main())
