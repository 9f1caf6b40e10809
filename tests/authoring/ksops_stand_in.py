#!/usr/bin/env python3
"""A stand-in for ksops, which cannot be had as a Go module: kustomize calls it like ksops, and it calls the real sops.

An exec function of kustomize: a ResourceList on stdin with the generator as functionConfig, a ResourceList on stdout.
It shows the export's side: that kustomize finds the generator, that the generator's files are there and are decrypted,
that a failure of sops fails the build. It is not ksops: that one's options and error texts are not shown.
"""

import subprocess
import sys

import yaml


def main() -> int:
    listed = yaml.safe_load(sys.stdin)
    items = []
    for name in listed["functionConfig"]["files"]:
        done = subprocess.run(["sops", "--decrypt", name], capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"ksops stand-in: sops --decrypt {name}: {done.stderr.strip()}", file=sys.stderr)
            return 1
        items.extend(yaml.safe_load_all(done.stdout))
    yaml.safe_dump({"apiVersion": "config.kubernetes.io/v1", "kind": "ResourceList", "items": items}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
