"""A default StorageClass whose claims are bound without any provisioner.

Volumes are created in advance: folders that any user may write to, each with a
PersistentVolume. (The controller manager's own hostPath provisioner creates
folders that only root can write to, which restricted Pods cannot use.)
"""

import shutil
from pathlib import Path

from localkube.client import Client, Json

CLASS = "standard"
_COUNT = 40
_VOLUMES = "/api/v1/persistentvolumes"


def create(client: Client, folder: Path) -> None:
    """Create the StorageClass and all volumes, data in `folder`."""
    client.create(
        "/apis/storage.k8s.io/v1/storageclasses",
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {
                "name": CLASS,
                "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
            },
            "provisioner": "kubernetes.io/no-provisioner",
            "reclaimPolicy": "Retain",
            "volumeBindingMode": "Immediate",
        },
    )
    for number in range(_COUNT):
        _create_volume(client, folder, f"local-{number:02}")


def recycle(client: Client, folder: Path) -> int:
    """Empty the volumes whose claim was deleted and make them available again; return their number."""
    released = [
        volume["metadata"]["name"]
        for volume in client.get(_VOLUMES)["items"]
        if volume["status"].get("phase") == "Released" and volume["spec"].get("storageClassName") == CLASS
    ]
    for name in released:
        client.delete(f"{_VOLUMES}/{name}")
        shutil.rmtree(folder / name, ignore_errors=True)
        _create_volume(client, folder, name)
    return len(released)


def _create_volume(client: Client, folder: Path, name: str) -> None:
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(0o777)
    spec: Json = {
        "storageClassName": CLASS,
        "capacity": {"storage": "100Gi"},
        "accessModes": ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany"],
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": str(path), "type": "Directory"},
    }
    metadata = {"name": name}
    client.create(_VOLUMES, {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": metadata, "spec": spec})
