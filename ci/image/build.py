"""The step image without Docker: Debian with Python and the locked dependencies below, the `guards` package on top.

    python -m ci.image.build        # builds what is missing, prints the reference and the path of the archive

The reference is keyed by everything that goes in, so an edited guard is a new image and an old one is never run by
mistake. The base (a minute, needs root and the Debian and Python package registries) is cached; the top takes a moment.
Containerfile beside this file makes the same content where there is a container engine.
"""

import hashlib
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ci.image import oci

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "ci/image/requirements.lock"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "capi-rollout" / "images"
SUITE = "bookworm"
PYTHON = "3.11"
HOME = "opt/capi-rollout"
"""Where dependencies and the package lie in the image, and its PYTHONPATH."""
CONFIG = {
    "User": "65532:65532",
    "WorkingDir": "/tmp",  # noqa: S108  a folder of the image
    "Env": [oci.PATH, f"PYTHONPATH=/{HOME}", "PYTHONUNBUFFERED=1", "PYTHONDONTWRITEBYTECODE=1"],
    "Cmd": ["python", "-m", "guards", "--help"],
}


@dataclass(frozen=True)
class Image:
    """`reference` is localhost/capi-rollout-guards:<content digest>; `archive` holds it; `manifest` is its sha256:…"""

    reference: str
    archive: Path
    manifest: str


def main() -> None:
    image = build()
    print(image.reference, image.archive)


def build(source: Path = ROOT) -> Image:
    """Build the image of `source`'s guards unless it stands in the cache already."""
    CACHE.mkdir(parents=True, exist_ok=True)
    lower = base()
    files = {str(path.relative_to(source)): path.read_bytes() for path in package_files(source)}
    parts = [lower.digest, repr(CONFIG), *(f"{name} {oci.digest(content)}" for name, content in files.items())]
    key = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    archive, known = CACHE / f"guards-{key}.tar", CACHE / f"guards-{key}.manifest"
    reference = f"localhost/capi-rollout-guards:{key}"
    if not known.exists() or not archive.exists():
        with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
            upper = oci.layer_of_files(compiled(source, files), Path(scratch) / "top.tar")
            known.write_text(oci.write(archive, reference, [lower, upper], CONFIG))
        forget_old_archives()
    return Image(reference, archive, known.read_text())


def package_files(source: Path) -> list[Path]:
    """What the package consists of, in a fixed order. ValueError when there is none."""
    found = sorted(
        path for path in (source / "guards").rglob("*") if path.is_file() and "__pycache__" not in path.parts
    )
    if not found:
        raise ValueError(f"{source}/guards holds no file, but the step image is made of it")
    return found


def compiled(source: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    """The package's files by their path in the image, with byte code that is valid without a look at the source.

    A step starts in half a second only when nothing has to be compiled. Byte code of another Python is useless there.
    """
    result = {f"{HOME}/{name}": content for name, content in files.items()}
    if f"{sys.version_info.major}.{sys.version_info.minor}" != PYTHON:
        return result
    with tempfile.NamedTemporaryFile() as scratch:
        for name in files:
            if name.endswith(".py"):
                mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
                py_compile.compile(
                    str(source / name), scratch.name, f"/{HOME}/{name}", doraise=True, invalidation_mode=mode
                )
                result[f"{HOME}/{cached_name(name)}"] = Path(scratch.name).read_bytes()
    return result


def cached_name(name: str) -> str:
    path = Path(name)
    return str(path.parent / "__pycache__" / f"{path.stem}.cpython-{PYTHON.replace('.', '')}.pyc")


def forget_old_archives(keep: int = 5) -> None:
    """Every edit makes an archive of more than a hundred megabytes: keep the newest few."""
    newest_first = sorted(CACHE.glob("guards-*.tar"), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for archive in newest_first[keep:]:
        archive.unlink(missing_ok=True)


def base() -> oci.Layer:
    """The lower layer: Debian, Python, the locked dependencies."""
    commands = [" ".join(each) for each in recipe_commands(Path("/"), "python", "requirements.lock")]
    recipe = [oci.ARCHITECTURE, LOCK.read_text(), *commands]
    key = hashlib.sha256("\n".join(recipe).encode()).hexdigest()[:16]
    layer, known = CACHE / f"base-{key}.tar", CACHE / f"base-{key}.digest"
    if not known.exists() or not layer.exists():
        known.write_text(make_base(layer).digest)
    return oci.Layer(layer, known.read_text())


def make_base(target: Path) -> oci.Layer:
    print("building the base of the step image (about a minute, once)", file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        root = Path(scratch) / "root"
        for command in recipe_commands(root, sys.executable, str(LOCK)):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
                raise RuntimeError(f"{' '.join(command)} failed:\n{tail}\nnext: scripts/install --cluster, as root")
        for waste in wasted(root):
            shutil.rmtree(waste, ignore_errors=True)
        (root / "usr/bin/python").symlink_to("python3")
        draft = oci.layer_of_folder(root, Path(scratch) / "base.tar")
        draft.path.rename(target)
        return oci.Layer(target, draft.digest)


def recipe_commands(root: Path, python: str, lock: str) -> list[list[str]]:
    """How the base comes about in the folder `root`.

    Byte code is made anew, unchecked: the layer's file times are zero, so Debian's own would count as stale.
    """
    install = f"""-m pip install --quiet --no-compile --no-deps --require-hashes --only-binary :all:
        --python-version {PYTHON} --target {root}/{HOME} --requirement {lock}"""
    compile_all = f"python3 -m compileall -q -f --invalidation-mode unchecked-hash /usr/lib/python{PYTHON} /{HOME}"
    return [
        ["debootstrap", "--variant=minbase", "--include=python3,ca-certificates", SUITE, str(root)],
        [python, *install.split()],
        ["chroot", str(root), *compile_all.split()],
    ]


def wasted(root: Path) -> Iterable[Path]:
    for name in ("doc", "man", "locale", "info"):
        yield root / "usr/share" / name
    yield from (root / "var/cache/apt", root / "var/lib/apt/lists", root / "var/log")


if __name__ == "__main__":
    main()
