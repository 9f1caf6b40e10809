"""The site file: what is wrong with it is said in one line each, with file, key, what was seen and expected."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from workflows.site import Site, SiteError, load


@pytest.fixture
def refused(tmp_path: Path, repository: Path) -> Callable[[Callable[[Any], Any]], str]:
    """Change the example site, load it, and give the error's text without the file's name."""

    def text(change: Callable[[Any], Any]) -> str:
        document = yaml.safe_load((repository / "rollout.yaml").read_text())
        change(document)
        path = tmp_path / "site.yaml"
        path.write_text(yaml.safe_dump(document))
        with pytest.raises(SiteError) as caught:
            load(path)
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        return message.removeprefix(f"{path}: ")

    return text


CASES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "unknown key": (
        lambda d: d.update(imgae={}),
        "imgae: unknown key, expected one of argo, image, clusters, remediation, events, backstop, secrets, notify",
    ),
    "unknown key inside": (
        lambda d: d["clusters"][0]["workers"][0].update(size=3),
        "clusters[0].workers[0].size: unknown key, expected one of name, replicas, version, talosVersion, "
        "machineTemplate, strategicPatches",
    ),
    "missing": (lambda d: d["image"].pop("tag"), "image.tag: missing"),
    "number for text": (
        lambda d: d["image"].update(tag=0.1),
        "image.tag: seen 0.1, expected: a valid string",
    ),
    "text for number": (
        lambda d: d["clusters"][0]["workers"][0].update(replicas="4"),
        "clusters[0].workers[0].replicas: seen '4', expected: a valid integer",
    ),
    "upper case": (
        lambda d: d["clusters"][0].update(name="Homelab"),
        "clusters[0].name: seen 'Homelab', expected: String should match pattern",
    ),
    "version without v": (
        lambda d: d["clusters"][0]["controlPlane"].update(version="1.36.1"),
        "clusters[0].controlPlane.version: seen '1.36.1', expected: String should match pattern",
    ),
    "two control planes": (
        lambda d: d["clusters"][0]["controlPlane"].update(replicas=2),
        "clusters[0].controlPlane.replicas: seen 2, expected: greater than or equal to 3",
    ),
    "no clusters": (lambda d: d.update(clusters=[]), "the file: clusters: empty, expected at least one"),
    "twin clusters": (
        lambda d: d["clusters"].append(d["clusters"][0] | {"overlay": None}),
        "the file: clusters: default/homelab more than once",
    ),
    "twin overlays": (
        lambda d: d["clusters"].append(d["clusters"][0] | {"name": "other"}),
        "the file: overlays: homelab more than once",
    ),
    "twin workers": (
        lambda d: d["clusters"][0]["workers"].append(d["clusters"][0]["workers"][0]),
        "clusters[0]: workers: homelab-workers more than once",
    ),
    "reserved overlay": (
        lambda d: d["clusters"][0].update(overlay="argo-workflows"),
        "clusters[0]: overlay 'argo-workflows' holds the orchestrator itself; choose another folder",
    ),
    "overlay without pools": (
        lambda d: d["clusters"][0].update(workers=[]),
        "clusters[0]: an overlay needs controlPlane and at least one entry of workers",
    ),
    "digest": (lambda d: d["image"].update(digest="sha256:12"), "image.digest: seen 'sha256:12', expected: "),
    "plaintext secret": (
        lambda d: d.update(secrets=["talos.yaml"]),
        "secrets[0]: seen 'talos.yaml', expected: ",
    ),
    "two buses": (
        lambda d: d.update(events={"eventBus": {"jetstream": {"version": "2.10.29", "replicas": 2}}}),
        "events.eventBus.jetstream: replicas is 2, which Argo Events refuses: expected 1, or 3 and more",
    ),
    "unknown key of the bus": (
        lambda d: d.update(events={"eventBus": {"jetstream": {"version": "2.10.29", "size": "1Gi"}}}),
        "events.eventBus.jetstream.size: unknown key, expected one of version, replicas, volumeSize",
    ),
    "no bus": (lambda d: d.update(events={"eventBus": 3}), "events.eventBus: seen 3, expected: "),
    "notify": (
        lambda d: d.update(notify={"urlSecret": "apprise"}),
        "the file: notify.urlSecret: not available in this version, leave it out",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_site_says_what_is_wrong(case: str, refused: Callable[[Callable[[Any], Any]], str]) -> None:
    change, expected = CASES[case]

    first, problem = refused(change).split("\n", 1)

    assert first == "1 to correct"
    assert problem.startswith(f"  {expected}")


def test_all_problems_are_listed_at_once(refused: Callable[[Callable[[Any], Any]], str]) -> None:
    def change(document: Any) -> None:
        document["image"]["tag"] = 1
        document["argo"]["namespace"] = "Argo"

    lines = refused(change).splitlines()

    assert lines[0] == "2 to correct"
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["argo.namespace", "image.tag"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image: {tag: '1'}\nimage: {tag: '2'}\n", "not YAML: key 'image' is given twice in"),
        ("image: [", "not YAML: "),
        ("", "the file: seen None, expected: a valid dictionary or instance of Site"),
        ("- image\n", "the file: seen ['image'], expected: a valid dictionary or instance of Site"),
    ],
)
def test_what_is_no_site_at_all(text: str, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "rollout.yaml"
    path.write_text(text)

    with pytest.raises(SiteError) as caught:
        load(path)

    assert expected in str(caught.value)


def test_a_missing_file_names_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(SiteError, match=r"none\.yaml: cannot be read \(No such file or directory\).*--site FILE"):
        load(tmp_path / "none.yaml")


def test_a_small_site_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "rollout.yaml"
    path.write_text(
        "image: {tag: '1.0'}\nclusters:\n"
        "- name: c\n  infrastructure: {version: v1beta2, machines: DevMachine, templates: DevMachineTemplate}\n"
    )

    site = load(path)

    assert isinstance(site, Site)
    assert (site.argo.namespace, site.namespaces, site.image.reference) == (
        "argo",
        ("default",),
        "ghcr.io/capi-rollout/guards:1.0",
    )
    assert not site.remediation.enabled
    assert not site.backstop
    assert [kind.plural for kind in site.infrastructure_in("default")] == ["devmachines"]
