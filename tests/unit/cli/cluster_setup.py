"""The real program with a kubeconfig of an API server in memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.unit.cli.commandline import Cli, Result
from tests.unit.cli.fake_cluster import FakeCluster


@dataclass
class Setup:
    cli: Cli
    fake: FakeCluster
    server: str

    def __call__(self, *args: str, **env: str) -> Result:
        env = {"KUBECONFIG": str(self.cli.folder / "kubeconfig"), **env}
        return self.cli(*args, stdin=None, timeout=60, **env)


def kubeconfig(path: Path, server: str, **user: Any) -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(document))
