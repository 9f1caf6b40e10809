"""Writing OCI images without Docker: layers from folders or files in memory, an archive that containerd, kind and
podman import. Owners are root and times zero, so equal content has an equal digest.
"""

import hashlib
import io
import json
import os
import platform
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

TYPE = "application/vnd.oci.image."
ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
EPOCH = "1970-01-01T00:00:00Z"
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Layer:
    """An uncompressed layer on disk. `digest` is sha256:…"""

    path: Path
    digest: str

    @classmethod
    def of(cls, path: Path) -> "Layer":
        with path.open("rb") as content:
            return cls(path, f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}")


def anonymous(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = info.mtime = 0
    info.uname = info.gname = ""
    return info


def layer_of_folder(root: Path, target: Path) -> Layer:
    """Pack a root folder; links and modes are kept."""
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(os.listdir(root)):
            tar.add(root / name, arcname=name, filter=anonymous)
    return Layer.of(target)


def layer_of_files(files: Mapping[str, bytes], target: Path, mode: int = 0o644) -> Layer:
    """Pack files by their path in the image, parents included."""
    parents = {str(parent) for name in files for parent in Path(name).parents if str(parent) != "."}
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted({*files, *parents}):
            info = tarfile.TarInfo(name)
            info.type, info.mode = (tarfile.REGTYPE, mode) if name in files else (tarfile.DIRTYPE, 0o755)
            info.size = len(files.get(name, b""))
            tar.addfile(info, io.BytesIO(files.get(name, b"")))
    return Layer.of(target)


def write(archive: Path, reference: str, layers: Sequence[Layer], config: dict[str, Any]) -> str:
    """Write the image archive and return the digest of its manifest. The archive appears whole or not at all."""
    image = encoded(
        architecture=ARCHITECTURE,
        os="linux",
        created=EPOCH,
        config={"Env": [PATH], **config},
        rootfs={"type": "layers", "diff_ids": [layer.digest for layer in layers]},
        history=[{"created": EPOCH, "created_by": "ci/image"} for _ in layers],
    )
    manifest = encoded(
        schemaVersion=2,
        mediaType=f"{TYPE}manifest.v1+json",
        config=descriptor("config.v1+json", image),
        layers=[
            {"mediaType": f"{TYPE}layer.v1.tar", "digest": layer.digest, "size": layer.path.stat().st_size}
            for layer in layers
        ],
    )
    entry = descriptor("manifest.v1+json", manifest) | {
        "platform": {"architecture": ARCHITECTURE, "os": "linux"},
        "annotations": {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference},
    }
    draft = archive.with_suffix(".draft")
    with tarfile.open(draft, "w") as tar:
        put(tar, "oci-layout", io.BytesIO(b'{"imageLayoutVersion":"1.0.0"}'))
        put(tar, "index.json", io.BytesIO(encoded(schemaVersion=2, manifests=[entry])))
        for blob in (image, manifest):
            put(tar, blob_name(digest(blob)), io.BytesIO(blob))
        for layer in {layer.digest: layer for layer in layers}.values():
            with layer.path.open("rb") as content:
                put(tar, blob_name(layer.digest), content)
    draft.rename(archive)
    return digest(manifest)


def encoded(**document: Any) -> bytes:
    return json.dumps(document).encode()


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def blob_name(of: str) -> str:
    return f"blobs/sha256/{of.removeprefix('sha256:')}"


def descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": TYPE + kind, "digest": digest(content), "size": len(content)}


def put(tar: tarfile.TarFile, name: str, content: IO[bytes]) -> None:
    info = tarfile.TarInfo(name)
    info.mode = 0o644
    info.size = content.seek(0, os.SEEK_END)
    content.seek(0)
    tar.addfile(info, content)
