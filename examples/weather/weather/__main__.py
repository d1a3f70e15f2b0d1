"""`python3 -m weather STEP`: one step of the pipeline. The result of a step becomes the output of its task."""

import argparse
import json
import os
import sys
from pathlib import Path

from weather import database, report, source, transforms


def main() -> None:
    """Run the step that the command line names."""
    parser = argparse.ArgumentParser(prog="python3 -m weather")
    steps = parser.add_subparsers(dest="step", required=True)
    steps.add_parser("check").set_defaults(run=lambda _: source.check())
    steps.add_parser("extract").set_defaults(run=lambda _: source.extract())
    steps.add_parser("wind").set_defaults(run=lambda _: transforms.wind())
    temperature = steps.add_parser("temperature")
    temperature.add_argument("--hot-day", type=float, required=True, help="°C from which a day counts as hot")
    temperature.set_defaults(run=lambda options: transforms.temperature(options.hot_day))
    rain = steps.add_parser("rain")
    rain.add_argument("--rain-day", type=float, required=True, help="mm from which a day counts as a rain day")
    rain.set_defaults(run=lambda options: transforms.rain(options.rain_day))
    kinds = steps.add_parser("kinds")
    kinds.add_argument("--warm-day", type=float, required=True, help="°C from which a day counts as warm")
    kinds.add_argument("--rain-day", type=float, required=True, help="mm from which a day counts as a rain day")
    kinds.set_defaults(run=lambda options: transforms.kinds(options.warm_day, options.rain_day))
    load = steps.add_parser("load")
    load.add_argument("--days", type=int, required=True, help="how many days there must be")
    load.set_defaults(run=lambda options: database.load(options.days))
    page = steps.add_parser("report")
    page.add_argument("--database", type=Path, required=True)
    page.add_argument("--facts", type=json.loads, required=True, help="outputs of the steps before, by name")
    page.set_defaults(run=lambda options: report.write(options.database, options.facts))

    options = parser.parse_args()
    try:
        facts = options.run(options)
    except source.BadInputError as error:
        sys.exit(f"bad input: {error}")
    text = json.dumps(facts)
    print(text)
    if "TRADEWIND_OUTPUT" in os.environ:
        Path(os.environ["TRADEWIND_OUTPUT"]).write_text(text)


main()
