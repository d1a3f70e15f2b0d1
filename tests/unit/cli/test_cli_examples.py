"""Every example does on this machine what it says it does."""

from pathlib import Path

import pytest

from tests.unit.cli.commandline import EXAMPLES, Cli

pytestmark = pytest.mark.unit

FILES = sorted(EXAMPLES.glob("*.yaml"))


def expected(example: Path) -> str:
    first = example.read_text().splitlines()[0]
    return first.removeprefix("# expect:").strip() if first.startswith("# expect:") else "Succeeded"


@pytest.mark.parametrize("example", FILES, ids=lambda path: path.stem)
def test_example(cli: Cli, example: Path) -> None:
    result = cli("run", example)
    assert f"{expected(example)} in " in result.out
    assert result.code == (0 if expected(example) == "Succeeded" else 1)
    assert result.err == ""


def test_all_examples_are_valid(cli: Cli) -> None:
    result = cli("validate", EXAMPLES, EXAMPLES / "weather", EXAMPLES / "wait-for")
    assert result.code == 0
    assert result.err == f"note: skipped subfolders of {EXAMPLES} ({EXAMPLES}/golden); use -R to read them\n"
    # Those of weather and wait-for, the Pool of pool.yaml and the Backfill of backfill.yaml.
    assert result.out.count("ok  ") == len(FILES) + 5


def test_diamond_runs_its_sides_together(cli: Cli) -> None:
    cli("run", EXAMPLES / "diamond.yaml")
    tasks = cli.tasks()
    assert tasks["a"].finished_at <= min(tasks["b"].started_at, tasks["c"].started_at)
    assert max(tasks["b"].started_at, tasks["c"].started_at) < min(tasks["b"].finished_at, tasks["c"].finished_at)
    assert max(tasks["b"].finished_at, tasks["c"].finished_at) <= tasks["d"].started_at


def test_retry_keeps_both_tries(cli: Cli) -> None:
    result = cli("run", EXAMPLES / "retry.yaml")
    flaky = cli.tasks()["flaky"]
    assert (flaky.state, flaky.try_) == ("Succeeded", 2)
    assert [(past.number, past.state, past.exit_code) for past in flaky.tries] == [(1, "Failed", 1)]
    assert "the service does not answer" in cli.log("flaky", 1)
    assert "it worked in try 2" in cli.log("flaky", 2)
    assert "UpForRetry" in result.out


def test_skip(cli: Cli) -> None:
    cli("run", EXAMPLES / "skip.yaml")
    assert {name: task.state for name, task in cli.tasks().items()} == {
        "new-orders": "Skipped",
        "import-orders": "Skipped",
        "housekeeping": "Succeeded",
    }


def test_pool_lets_two_run_at_a_time(cli: Cli) -> None:
    cli("run", EXAMPLES / "pool.yaml")
    tasks = cli.tasks()
    for task in tasks.values():
        others = [other for other in tasks.values() if other.started_at <= task.started_at < other.finished_at]
        assert len(others) <= 2
    everything = tasks["everything"]
    assert all(task.finished_at <= everything.started_at for name, task in tasks.items() if name != "everything")


def test_outputs_and_params(cli: Cli) -> None:
    cli("run", EXAMPLES / "outputs-and-params.yaml", "-p", "numbers=[1, 2.5]", "--param", "greeting=Hello 'you'")
    assert cli.tasks()["add"].output == {"sum": 3.5, "count": 2}
    assert cli.log("tell") == "Hello 'you'! The sum of 2 numbers is 3.5.\n"


def test_weather(cli: Cli) -> None:
    result = cli("run", EXAMPLES / "weather" / "dag.yaml", "-p", "hotDay=32")
    assert result.code == 0, result.out
    tasks = cli.tasks()
    assert tasks["extract"].output["days"] == 1461
    assert tasks["temperature"].output["hottest"] == {"date": "2014-08-11", "celsius": 35.6}
    assert tasks["rain"].output["wettest_day"] == {"date": "2015-03-15", "millimetres": 55.9}
    assert tasks["load"].output["rows"]["days"] == 1461
    report = (cli.folder / ".tradewind" / "volumes" / "weather-data" / "report" / "index.html").read_text()
    assert report.count("<svg") == 3
    assert "days of 32 °C or more" in report
    assert "http://" not in report.replace("http://www.w3.org", "").replace("http://pygal.org", "").replace(
        "http://github.com/Kozea/pygal", ""
    )
