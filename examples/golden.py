"""Write the output of `tradewind simulate` for each example into golden/, beside its outcomes.

    python examples/golden.py           # write all
    python examples/golden.py --check   # write nothing; exit 1 if one is out of date

golden/NAME.json is what `tradewind simulate -f NAME.yaml -o json` prints. Where golden/NAME.outcomes.yaml exists, it is
given as --outcomes: what a task is mapped over has to be in some output.
"""

import argparse
import sys
from pathlib import Path

from click.testing import CliRunner

from tradewind.cli.main import cli as tradewind

EXAMPLES = Path(__file__).parent
GOLDEN = EXAMPLES / "golden"


def examples() -> list[Path]:
    """Every file of examples/ itself."""
    return sorted(EXAMPLES.glob("*.yaml"))


def golden_of(example: Path) -> Path:
    """Return the file of an example's simulation."""
    return GOLDEN / f"{example.stem}.json"


def simulated(example: Path) -> str:
    """Return the current output of an example's simulation."""
    command = ["simulate", "-f", str(example), "-o", "json"]
    outcomes = GOLDEN / f"{example.stem}.outcomes.yaml"
    if outcomes.exists():
        command += ["--outcomes", str(outcomes)]
    done = CliRunner().invoke(tradewind, command)
    if done.exit_code:
        raise SystemExit(f"tradewind {' '.join(command)} exits {done.exit_code}: {done.stderr}")
    return done.stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is out of date")
    check = parser.parse_args().check
    wanted = {golden_of(example): simulated(example) for example in examples()}
    stale = [path for path in GOLDEN.glob("*.json") if path not in wanted]
    stale += [path for path, text in wanted.items() if not path.exists() or path.read_text() != text]
    if check:
        for path in stale:
            print(f"{path} is out of date: run `make generate`", file=sys.stderr)
        sys.exit(1 if stale else 0)
    GOLDEN.mkdir(exist_ok=True)
    for path in stale:
        if path in wanted:
            path.write_text(wanted[path])
        else:
            path.unlink()


if __name__ == "__main__":
    main()
