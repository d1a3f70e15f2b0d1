"""Runs helm for the chart's tests.

It knows helm and what it prints, and asserts nothing about the chart.
"""

import functools
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

REPOSITORY = Path(__file__).parents[2]
CHART = REPOSITORY / "helm" / "tradewind"
RELEASE = "tradewind"
NAMESPACE = "tradewind-system"

Manifest = dict[str, Any]


class HelmError(Exception):
    """helm failed; the message is what it wrote to stderr."""


@dataclass(frozen=True)
class Rendered:
    """The output of `helm template`: its text, and the objects in it."""

    text: str
    objects: list[Manifest] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[Manifest]:
        return [found for found in self.objects if found["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Manifest:
        found = [o for o in self.of_kind(kind) if name is None or o["metadata"]["name"] == name]
        assert len(found) == 1, f"{len(found)} objects of kind {kind} and name {name}"
        return found[0]

    @property
    def environment(self) -> dict[str, str]:
        """The controller's environment variables that have a plain value; the first shard's, if there are several."""
        return {entry["name"]: entry["value"] for entry in self.container["env"] if "value" in entry}

    @property
    def container(self) -> Manifest:
        containers = self.of_kind("Deployment")[0]["spec"]["template"]["spec"]["containers"]
        assert len(containers) == 1
        found: Manifest = containers[0]
        return found


@dataclass(frozen=True)
class Helm:
    """helm, and the chart that it renders."""

    program: Path
    chart: Path

    def run(self, *arguments: str, values: Mapping[str, Any] | None = None) -> str:
        """Return helm's stdout. Raises HelmError when it fails."""
        done = subprocess.run(
            [self.program, *arguments, *(["--values", "-"] if values else [])],
            input=json.dumps(values) if values else None,
            capture_output=True,
            text=True,
            timeout=60,
            env=os.environ | {"KUBECONFIG": os.devnull},
        )
        if done.returncode != 0:
            raise HelmError(done.stderr)
        return done.stdout

    def template(
        self, values: Mapping[str, Any] | None = None, *, arguments: tuple[str, ...] = (), release: str = RELEASE
    ) -> Rendered:
        text = _render(self, release, arguments, json.dumps(values))
        return Rendered(text, [found for found in yaml.load_all(text, yaml.CSafeLoader) if found])

    def render(self, release: str, arguments: tuple[str, ...], values: Mapping[str, Any] | None) -> str:
        """Return the output of `helm template`."""
        return self.run("template", release, str(self.chart), "--namespace", NAMESPACE, *arguments, values=values)

    def notes(self, values: Mapping[str, Any] | None = None) -> str:
        """The text a user reads after `helm install`."""
        text = self.run(
            "install",
            RELEASE,
            str(self.chart),
            "--namespace",
            NAMESPACE,
            "--dry-run=client",
            "--output=json",
            values=values,
        )
        notes: str = json.loads(text)["info"]["notes"]
        return notes


@functools.cache
def _render(helm: Helm, release: str, arguments: tuple[str, ...], values: str) -> str:
    """Many tests look at the same."""
    return helm.render(release, arguments, json.loads(values))
