"""Images of this checkout, built without Docker and cached outside it by the hash of their sources."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from localkube import paths
from localkube.build import build_project
from localkube.progress import Progress
from tests.cluster import REPOSITORY

PROJECT_INPUTS = ("Dockerfile", "pyproject.toml", "constraints.txt", "README.md", "LICENSE", "controller")


def project_image() -> Path:
    """An archive with the controller's image, docker.io/library/tradewind:e2e."""
    inputs = [REPOSITORY / name for name in PROJECT_INPUTS]
    return _built("docker.io/library/tradewind:e2e", REPOSITORY, inputs)


def weather_image() -> Path:
    """An archive with the image of the weather example."""
    context = REPOSITORY / "examples" / "weather"
    inputs = [context / name for name in ("Dockerfile", "requirements.txt", "weather")]
    return _built("docker.io/library/tradewind-weather:0.1.0", context, inputs)


def _built(tag: str, context: Path, inputs: Iterable[Path]) -> Path:
    name = tag.rpartition("/")[2].replace(":", "-")
    folder = paths.cache_folder() / "test-images"
    archive = folder / f"{name}-{_digest(context, inputs)}.tar"
    if not archive.exists():
        for outdated in folder.glob(f"{name}-*.tar"):
            outdated.unlink(missing_ok=True)
        build_project(context / "Dockerfile", context, tag, archive, Progress())
    return archive


def _digest(context: Path, inputs: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in inputs:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            generated = any(part == "__pycache__" or part.endswith(".egg-info") for part in file.parts)
            if file.is_file() and not generated:
                content = file.read_bytes()
                digest.update(f"{file.relative_to(context)} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]
