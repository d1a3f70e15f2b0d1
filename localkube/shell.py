"""Run a command with a time limit and an error that shows its output."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from localkube.errors import LocalkubeError

_SHOWN_LINES = 25


def run(
    command: Sequence[str | Path],
    *,
    limit: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> str:
    """Run a command and return its stdout; with `log`, all output goes there instead.

    Raises LocalkubeError if it cannot be started, fails, or takes longer than
    `limit` seconds, with its last lines of output.
    """
    words = [str(word) for word in command]
    try:
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as output:
                subprocess.run(
                    words, check=True, timeout=limit, cwd=cwd, env=env,
                    stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                )  # fmt: skip
            return ""
        done = subprocess.run(
            words, check=True, timeout=limit, cwd=cwd, env=env,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
        )  # fmt: skip
        return done.stdout
    except FileNotFoundError as error:
        raise LocalkubeError(f"cannot run {words[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise LocalkubeError(f"`{' '.join(words[:6])}` took longer than {limit:.0f} s{tail_of(log)}") from error
    except subprocess.CalledProcessError as error:
        said = tail_of(log) if log else _indent(f"{error.stdout}{error.stderr}")
        raise LocalkubeError(f"`{' '.join(words[:6])}` failed with exit code {error.returncode}{said}") from error


def tail_of(log: Path | None, lines: int = _SHOWN_LINES) -> str:
    """`; see LOG, which ends:` and the last lines of a log file, for the end of an error message."""
    if log is None:
        return ""
    if not log.exists():
        return f"; {log} does not exist"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        text = file.read().decode(errors="replace")
    return f"; see {log}, which ends:{_indent(text, lines)}"


def _indent(text: str, lines: int = _SHOWN_LINES) -> str:
    return "".join(f"\n    {line[:400]}" for line in text.strip().splitlines()[-lines:])
