"""The programs a cluster needs, built once from Go modules and kept in the cache.

`ensure(name)` gives the path of a program and builds it first if it is not in
the cache. Kubernetes' own programs (etcd, kube-apiserver, kubectl, …) are one
binary under several names, from `localkube/kubernetes`; the others are
`go install`ed. Nothing but the Go module proxy is needed.
"""

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from localkube import files, paths
from localkube.errors import LocalkubeError
from localkube.progress import Progress
from localkube.shell import run

KUBERNETES_VERSION = "1.35.4"
KUBERNETES_PROGRAMS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
    "kubectl",
)
_KUBERNETES_SOURCE = Path(__file__).parent / "kubernetes"
_BUILD_LIMIT_SECONDS = 3600.0


@dataclass(frozen=True)
class _GoProgram:
    package: str
    version: str
    estimate: str


_GO_PROGRAMS = {
    "helm": _GoProgram("helm.sh/helm/v4/cmd/helm", "v4.3.1", "about 4 min the first time, cached afterwards"),
    "kwok": _GoProgram("sigs.k8s.io/kwok/cmd/kwok", "v0.8.0", "about 3 min the first time, cached afterwards"),
    "kind": _GoProgram("sigs.k8s.io/kind", "v0.33.0", "about 1 min the first time, cached afterwards"),
}

NAMES = (*KUBERNETES_PROGRAMS, *_GO_PROGRAMS)


def ensure(name: str, progress: Progress | None = None) -> Path:
    """The path of a program, built first if necessary; safe to call from several processes.

    Raises LocalkubeError if the name is unknown, Go is missing or the build fails.
    """
    progress = progress or Progress()
    if name in KUBERNETES_PROGRAMS:
        return _kubernetes_folder(progress) / name
    if name in _GO_PROGRAMS:
        return _installed(name, _GO_PROGRAMS[name], progress)
    raise LocalkubeError(f"no tool {name!r}; there are: {', '.join(sorted(NAMES))}")


def go() -> Path:
    """The Go toolchain's path; raises LocalkubeError with advice if there is none."""
    search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/go/bin", "/usr/lib/go/bin"])
    found = shutil.which("go", path=search)
    if found is None:
        raise LocalkubeError(
            "Go is needed to build Kubernetes and its tools, and `go` is neither on PATH nor in "
            "/usr/local/go/bin: install Go 1.25 or later"
        )
    return Path(found)


def _installed(name: str, source: _GoProgram, progress: Progress) -> Path:
    folder = paths.cache_folder() / "tools" / f"{name}-{source.version}"
    program = folder / name
    if program.exists():
        return program
    with files.locked(paths.cache_folder() / f"{name}.lock", limit=_BUILD_LIMIT_SECONDS):
        if not program.exists():
            what = f"building {name} {source.version} from its Go module"
            with progress.long_step(what, estimate=source.estimate), files.appearing(folder) as building:
                env = {**_go_environment(), "GOBIN": str(building)}
                command = ["install", "-trimpath", "-ldflags=-s -w", f"{source.package}@{source.version}"]
                run([go(), *command], limit=_BUILD_LIMIT_SECONDS, env=env, log=_build_log(name))
    return program


def _kubernetes_folder(progress: Progress) -> Path:
    flags = _kubernetes_link_flags()
    folder = paths.cache_folder() / "kubernetes" / f"{KUBERNETES_VERSION}-{_content_hash(flags)}"
    if folder.exists():
        return folder
    with files.locked(paths.cache_folder() / "kubernetes.lock", limit=_BUILD_LIMIT_SECONDS):
        if not folder.exists():
            what = f"building Kubernetes {KUBERNETES_VERSION} from Go modules"
            estimate = "about 8 min the first time, cached afterwards"
            with progress.long_step(what, estimate=estimate), files.appearing(folder) as building:
                _build_kubernetes(building, flags)
    return folder


def _build_kubernetes(folder: Path, link_flags: str) -> None:
    folder.mkdir()
    binary = folder / "localkube"
    run(
        [go(), "build", "-trimpath", f"-ldflags={link_flags}", "-o", binary, "."],
        limit=_BUILD_LIMIT_SECONDS,
        cwd=_KUBERNETES_SOURCE,
        env=_go_environment(),
        log=_build_log("kubernetes"),
    )
    for name in KUBERNETES_PROGRAMS:
        (folder / name).symlink_to(binary.name)


def _kubernetes_link_flags() -> str:
    """Without this version in the binary every client would see v0.0.0."""
    package = "k8s.io/component-base/version"
    major, minor, _ = KUBERNETES_VERSION.split(".")
    facts = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    return " ".join(["-s -w", *(f"-X {package}.{key}={value}" for key, value in facts.items())])


def _content_hash(link_flags: str) -> str:
    digest = hashlib.sha256(link_flags.encode())
    for name in ("main.go", "go.mod", "go.sum"):
        digest.update((_KUBERNETES_SOURCE / name).read_bytes())
    return digest.hexdigest()[:12]


def _go_environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0"}


def _build_log(name: str) -> Path:
    return paths.cache_folder() / "logs" / f"build-{name}.log"
