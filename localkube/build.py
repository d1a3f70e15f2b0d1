"""Build a Dockerfile without Docker: with buildah, on the base images of this package.

The Dockerfile is an ordinary one. This machine's certificate authorities and pip
settings are bound into the build, and do not get into the image.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from localkube import files, images, packages, paths, python_image
from localkube.errors import LocalkubeError
from localkube.progress import Progress
from localkube.shell import run

_BUNDLE_IN_IMAGE = "/etc/ssl/certs/ca-certificates.crt"
_PIP_PATH_SETTINGS = {"cert", "client-cert", "find-links", "constraint"}
_BUILD_LIMIT_SECONDS = 1800.0
_MOST_IMAGES = 120
"""Number of step results to keep for the next build: a change of the controller's code adds 8, of 100 MB."""


def build_project(dockerfile: Path, context: Path, tag: str, output: Path, progress: Progress) -> None:
    """Build an image and write it as an archive that `load-image` takes; raises LocalkubeError."""
    for path in (dockerfile, context):
        if not path.exists():
            raise LocalkubeError(f"{path} does not exist")
    packages.ensure(packages.IMAGE_BUILD, progress)
    bases = [*images.small_images(progress), python_image.ensure(progress)]
    with files.locked(paths.cache_folder() / "buildah.lock", limit=_BUILD_LIMIT_SECONDS):
        store, buildah = _buildah()
        _import_bases(buildah, bases, store, progress)
        with progress.long_step(f"building {tag}", estimate="about 30 s"):
            _build(buildah, dockerfile, context, tag)
        _export(buildah, tag, output)
    progress.say(f"wrote {output}")


def _buildah() -> tuple[Path, list[str | Path]]:
    """Return the buildah command on a separate store: with overlay mounts if they work here; else each step copies all
    files of the previous one."""
    program = packages.program("buildah")

    def with_driver(driver: str) -> tuple[Path, list[str | Path]]:
        store = paths.cache_folder() / "buildah" / driver
        folders = [f"--root={store / 'storage'}", f"--runroot={store / 'run'}"]
        return store, [program, *folders, f"--storage-driver={driver}"]

    store, buildah = with_driver("overlay")
    try:
        run([*buildah, "info"], limit=60)
    except LocalkubeError:
        return with_driver("vfs")
    return store, buildah


def _import_bases(buildah: list[str | Path], bases: list[Path], store: Path, progress: Progress) -> None:
    for archive in bases:
        imported = store / "imported" / archive.name
        if not imported.exists():
            progress.say(f"importing base image {archive.name}")
            run([*buildah, "pull", "--quiet", f"docker-archive:{archive}"], limit=300)
            files.write(imported, "")


def _build(buildah: list[str | Path], dockerfile: Path, context: Path, tag: str) -> None:
    log = paths.cache_folder() / "logs" / "build-image.log"
    log.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        volumes = [f"--volume={source}:{target}:ro" for source, target in _machine_files(Path(folder)).items()]
        command = ["bud", "--isolation=chroot", "--pull-never", "--layers", f"--file={dockerfile}", f"--tag={tag}"]
        run([*buildah, *command, *volumes, context], limit=_BUILD_LIMIT_SECONDS, log=log)


def _export(buildah: list[str | Path], tag: str, output: Path) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    with files.appearing(output.absolute()) as temporary:
        run([*buildah, "push", "--quiet", tag, f"docker-archive:{temporary}:{tag}"], limit=300)
    # Killed builds leave containers, which keep their images from being removed.
    run([*buildah, "rm", "--all"], limit=300)
    if len(run([*buildah, "images", "--all", "--quiet"], limit=60).splitlines()) > _MOST_IMAGES:
        run([*buildah, "rmi", "--prune"], limit=120)


def _machine_files(work: Path) -> dict[str, str]:
    """Return this machine's files for a build, and their paths in it: certificate authorities and pip's settings."""
    found: dict[str, str] = {}
    bundle = os.environ.get("SSL_CERT_FILE") or _BUNDLE_IN_IMAGE
    if Path(bundle).exists():
        found[bundle] = _BUNDLE_IN_IMAGE
    settings = _pip_settings()
    for name in _PIP_PATH_SETTINGS & settings.keys():
        path = settings[name]
        if name == "cert" and Path(path).exists():
            settings[name] = _BUNDLE_IN_IMAGE
            found[path] = _BUNDLE_IN_IMAGE
        elif Path(path).exists():
            found[path] = path
    if settings:
        file = work / "pip.conf"
        lines = [f"{name} = {value}" for name, value in sorted(settings.items())]
        file.write_text("\n".join(["[global]", *lines, ""]))
        found[str(file)] = "/etc/pip.conf"
    return found


def _pip_settings() -> dict[str, str]:
    """Return this machine's pip settings; those from the environment take precedence."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    found: dict[str, str] = {}
    # Files come before the environment in the list.
    for line in sorted(done.stdout.splitlines(), key=lambda text: text.startswith(":env:")):
        key, separator, value = line.partition("=")
        if separator:
            found[key.rpartition(".")[2]] = value.strip("'\"")
    return found
