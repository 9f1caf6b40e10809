"""Secrets in git: encrypted, and decrypted on the way into the cluster. Their values are never shown."""

import os
import re
from collections.abc import Iterator
from shlex import quote

from workflows.verify.builds import EXEC, KSOPS, Build, encrypted_files
from workflows.verify.findings import Finding, Level, finding
from workflows.verify.located import Node
from workflows.verify.objects import Object
from workflows.verify.rules.health import SETTINGS, settings
from workflows.verify.tree import Tree

OPTIONS = "kustomize.buildOptions"
FLAGS = ("--enable-alpha-plugins", "--enable-exec")
DROPPED = "without them kustomize leaves the Secrets out, and `kubectl kustomize` even ends with 0"
PLACEHOLDER = re.compile(r"\$\{\w+\}|<[^>]*>")
"""Filled in while it is applied: Flux's substitution, Argo CD's vault plugin."""


def plaintext(tree: Tree) -> Iterator[Finding]:
    for item in tree.written:
        if item.kind == "Secret" and item.group == "":
            open_keys = [key for part in ("data", "stringData") for key in _plain(item.root.entries(part))]
            if open_keys:
                part = "data" if open_keys[0] in item.root.entries("data") else "stringData"
                text = f"{', '.join(open_keys)} unencrypted in git, must be encrypted, and changed where it is in use"
                command = f"sops --encrypt --in-place {quote(item.root.place.path)}"
                yield finding("plaintext-secret", item, item.place(part, open_keys[0]), text, next=command)
    for document in tree.documents:
        for entry in document.items("secretGenerator"):
            for literal in entry.items("literals"):
                text = f"literal {str(literal.value).partition('=')[0]} unencrypted in git, must be encrypted"
                yield finding("plaintext-secret", f"secretGenerator {entry.text('name')}", literal.place, text)


def _plain(values: dict[str, Node]) -> list[str]:
    return [key for key, node in values.items() if not _is_closed(node)]


def _is_closed(node: Node) -> bool:
    text = "" if node.value is None else str(node.value)
    return not text or text.startswith("ENC[") or PLACEHOLDER.fullmatch(text) is not None


def build(tree: Tree) -> Iterator[Finding]:
    """Every encrypted Secret is decrypted by whoever applies it."""
    listed = {path for each in tree.builds for item in each.generators for _, path in encrypted_files(item)}
    for item in tree.written:
        if item.kind == "Secret" and item.root.at("sops") and item.root.place.path not in listed:
            yield from _not_decrypted(tree, item)
        if (item.kind, item.group) == KSOPS and not _is_used(tree, item):
            text = "is in `generators` of no kustomization, must be: its Secrets are not made at all"
            yield finding("secret-build", item, item.root.place, text)
    for each in tree.builds:
        for generator in each.generators:
            yield from _generator(tree, each, generator)


def _is_used(tree: Tree, generator: Object) -> bool:
    return any(generator.root.place == item.root.place for each in tree.builds for item in each.generators)


def _not_decrypted(tree: Tree, item: Object) -> Iterator[Finding]:
    path = item.root.place.path
    builds = [each for each in tree.builds if any(path == other.root.place.path for other in each.objects)]
    by_flux = [tree.flux[each.folder] for each in builds if each.folder in tree.flux]
    if not builds:
        text = "is encrypted and in no build, must be in `files` of a ksops generator (with Flux: in `resources`)"
        yield finding("secret-build", item, item.place("sops"), text)
    elif len(by_flux) < len(builds):
        text = "is applied still encrypted, must be in `files` of a ksops generator instead: Argo CD decrypts nothing"
        yield finding("secret-build", item, item.place("sops"), text)
    for kustomization in by_flux:
        if kustomization.root.text("spec", "decryption", "provider") != "sops":
            text = f"applies {item} still encrypted, must have decryption.provider: sops"
            yield finding("secret-build", kustomization, kustomization.place("spec", "decryption"), text)


def _generator(tree: Tree, where: Build, generator: Object) -> Iterator[Finding]:
    names = {document.place.path for document in tree.documents}
    for entry, path in encrypted_files(generator):
        if path not in names and not os.path.exists(path):
            yield finding("secret-build", generator, entry.place, f"lists {entry.value}, which does not exist")
    if where.folder in tree.flux:
        text = "Flux runs no exec generators, expected the encrypted files in `resources` and spec.decryption"
        yield finding("secret-build", generator, generator.root.place, text)
    elif EXEC in generator.root.entries("metadata", "annotations"):
        yield from _build_options(tree, where, generator)


def _build_options(tree: Tree, where: Build, generator: Object) -> Iterator[Finding]:
    flags = " ".join(FLAGS)
    command = f"kustomize build {flags} {quote(where.folder)} | grep -A3 'kind: Secret'"
    options = settings(tree, OPTIONS)
    if not options:
        text = f"Argo CD must build with {flags}, and no {OPTIONS} is in this tree to see it: {DROPPED}"
        yield finding("secret-build", generator, generator.root.place, text, next=command, level=Level.WARNING)
    elif not all(flag in str(options[0].value).split() for flag in FLAGS):
        text = f"{OPTIONS} is {options[0].value!r}, must hold {flags}, for {generator}: {DROPPED}"
        yield finding("secret-build", SETTINGS, options[0].place, text, next=command)
