"""A Python base image from Debian's packages, for machines that cannot pull one.

It replaces `python:X.Y-slim`, with X.Y being Debian's Python: `python`,
`python3` and `pip` are on PATH and pip may install into the system. Made with
debootstrap from the mirror that this machine's apt uses; kept in the cache.
"""

import hashlib
import platform
import shutil
import tempfile
from pathlib import Path

from localkube import files, leftovers, packages, paths
from localkube.archives import ImageConfig, write_image
from localkube.errors import LocalkubeError
from localkube.progress import Progress
from localkube.shell import run

_PACKAGES = ("ca-certificates", "python3", "python3-pip", "python3-venv")
# Of no use in a container; the marker would keep pip from installing, as it does not in python:*-slim.
_REMOVED = (
    "dev/*", "etc/hostname", "etc/resolv.conf", "proc/*", "run/*", "sys/*", "tmp/*",
    "usr/lib/python3*/EXTERNALLY-MANAGED",
    "usr/share/doc/*", "usr/share/info/*", "usr/share/locale/*", "usr/share/man/*", "var/cache/apt/*",
    "var/lib/apt/lists/*", "var/log/*",
)  # fmt: skip
_LINKS = {"usr/local/bin/python": "/usr/bin/python3", "usr/local/bin/python3": "/usr/bin/python3"}
_CONFIG = ImageConfig(
    command=["python3"],
    environment={
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
    },
)
# Raise it when the recipe below changes its result.
_RECIPE = 2


def cached() -> list[Path]:
    """The image's archive if it exists, else nothing."""
    try:
        archive = _archive()
    except LocalkubeError:
        return []
    return [archive] if archive.exists() else []


def ensure(progress: Progress) -> Path:
    """The image's archive, created first if necessary; raises LocalkubeError."""
    archive = _archive()
    if archive.exists():
        return archive
    packages.ensure(packages.BASE_IMAGE, progress)
    with files.locked(paths.cache_folder() / "python-image.lock", limit=1800):
        if not archive.exists():
            step = progress.long_step("making the Python base image", estimate="about 1 min, once")
            with step, tempfile.TemporaryDirectory(dir=archive.parent) as folder:
                _make(Path(folder), archive)
    return archive


def _make(work: Path, archive: Path) -> None:
    root, layer = work / "root", work / "layer.tar"
    log = paths.cache_folder() / "logs" / "debootstrap.log"
    program = packages.program("debootstrap")
    options = ["--variant=minbase", f"--include={','.join(_PACKAGES)}"]
    run([program, *options, _suite(), root, _mirror()], limit=900, log=log)
    version = run(["chroot", root, "python3", "--version"], limit=30).split()[1]
    _trim(root)
    order = ["--sort=name", "--numeric-owner", "--mtime=@0"]
    run(["tar", *order, "--directory", root, "--create", "--file", layer, "."], limit=300)
    tag = f"docker.io/library/python:{'.'.join(version.split('.')[:2])}-slim"
    with files.appearing(archive) as temporary:
        write_image(temporary, tags=[tag], layer=layer, config=_CONFIG)


def _trim(root: Path) -> None:
    leftovers.unmount_below(root)
    for pattern in _REMOVED:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for link, target in _LINKS.items():
        (root / link).symlink_to(target)


def _archive() -> Path:
    recipe = " ".join([_suite(), str(_RECIPE), *_PACKAGES, *_REMOVED])
    key = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    folder = paths.cache_folder() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"python-{key}.tar"


def _suite() -> str:
    """The release of the machine's own Debian, the only one that its apt surely has."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        release = {}
    if release.get("ID") != "debian" or "VERSION_CODENAME" not in release:
        raise LocalkubeError("the Python base image can be made on Debian only (see /etc/os-release)")
    return release["VERSION_CODENAME"]


def _mirror() -> str:
    """The mirror of that release in this machine's apt."""
    command = ["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)"]
    for line in run([*command, "Created-By: Packages"], limit=60).splitlines():
        suite, component, uri = line.split()
        if (suite, component) == (_suite(), "main"):
            return uri
    raise LocalkubeError(f"apt knows no source of {_suite()} main; run `apt-get update`")
