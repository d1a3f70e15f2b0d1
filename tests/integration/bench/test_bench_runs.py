"""The bench itself works: its smallest size, on a cluster of its own."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SECONDS = 300.0


def test_a_workload_is_measured_and_kept(tmp_path: Path) -> None:
    results, chart = tmp_path / "results.json", tmp_path / "chart.svg"
    command = [sys.executable, "-m", "bench", "fan", "--size", "tiny", f"--output={results}", f"--chart={chart}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = {record["workload"]: record for record in json.loads(results.read_text())}
    assert set(kept) == {"fan", "fan-cpu", "fan-writes"}
    assert kept["fan"]["value"] > 0
    # One create for each Pod, by whatever else it is that a run is written.
    assert kept["fan-writes"]["value"] >= 1
    assert kept["fan-writes"]["reach"] in done.stdout
    assert "fan-writes" in chart.read_text()
