"""The images that a cluster starts with, created from Debian's packages instead of a registry.

`pause` and `busybox` take a second and are loaded by every `up`; the Python
base takes a minute (see `python_base`) and is loaded by `up` once it exists.
Each is an archive in the cache, keyed by its content.
"""

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

from localkube import files, packages, paths
from localkube.archives import ImageConfig, Layer, write_image
from localkube.configs import PAUSE_IMAGE
from localkube.errors import LocalkubeError
from localkube.progress import Progress
from localkube.shell import run

# With a version, as Pods should ask for it: for `latest` the kubelet asks the registry each time, and there is none.
BUSYBOX_IMAGES = ("docker.io/library/busybox:1.36", "docker.io/library/busybox:latest")
_SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
    "etc/group": "root:x:0:\nnogroup:x:65534:\n",
}
# Raise it when the recipes below change their result for the same busybox.
_RECIPE = 3


def small_images(progress: Progress) -> list[Path]:
    """The archives of `pause` and `busybox`, created if they are not in the cache."""
    packages.ensure({"busybox-static": "busybox"}, progress)
    busybox = packages.program("busybox")
    key = hashlib.sha256(busybox.read_bytes() + bytes([_RECIPE])).hexdigest()[:12]
    folder = paths.cache_folder() / "images"
    pause, shell = folder / f"pause-{key}.tar", folder / f"busybox-{key}.tar"
    if not pause.exists():
        _write(pause, (PAUSE_IMAGE,), _pause_layer(busybox), ImageConfig(["/bin/busybox", "sleep", "infinity"]))
    if not shell.exists():
        config = ImageConfig(command=["sh"], environment={"PATH": _SEARCH_PATH})
        _write(shell, BUSYBOX_IMAGES, _busybox_layer(busybox), config)
    return [pause, shell]


def load(archive: Path, socket: Path) -> None:
    """Import an archive into the containerd at `socket`, where Pods find it; raises LocalkubeError."""
    if not archive.exists():
        raise LocalkubeError(f"no image archive {archive}")
    run([packages.program("ctr"), f"--address={socket}", "--namespace=k8s.io", "images", "import", archive],
        limit=300)  # fmt: skip


def _write(archive: Path, tags: Sequence[str], layer: Layer, config: ImageConfig) -> None:
    with files.appearing(archive) as temporary, tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "layer.tar")
        layer.store(path)
        write_image(temporary, tags=tags, layer=path, config=config)


def _pause_layer(busybox: Path) -> Layer:
    """A sandbox only has to sleep."""
    layer = Layer()
    layer.folder("bin")
    layer.file("bin/busybox", busybox.read_bytes(), mode=0o755)
    return layer


def _busybox_layer(busybox: Path) -> Layer:
    layer = Layer()
    for folder in ("bin", "etc", "home", "usr", "usr/bin", "var"):
        layer.folder(folder)
    layer.folder("root", mode=0o700)
    for folder in ("tmp", "var/tmp"):
        layer.folder(folder, mode=0o1777)
    for path, text in _ACCOUNTS.items():
        layer.file(path, text.encode())
    layer.file("bin/busybox", busybox.read_bytes(), mode=0o755)
    for applet in run([busybox, "--list"], limit=10).split():
        if applet != "busybox":
            layer.link(f"bin/{applet}", "busybox")
    layer.link("usr/bin/env", "../../bin/busybox")
    return layer


def runtime_answers(socket: Path) -> bool:
    """True if the containerd at `socket` answers."""
    try:
        run([packages.program("ctr"), f"--address={socket}", "--timeout=2s", "version"], limit=5)
    except LocalkubeError:
        return False
    return True
