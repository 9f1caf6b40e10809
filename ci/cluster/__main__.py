"""scripts/cluster: a management cluster for tests on this machine."""

import argparse
import sys

from ci.cluster import kind, lab, lifecycle, pods, record
from ci.cluster.capi import talos_lab
from ci.cluster.processes import records, run
from ci.cluster.settings import BIN, KUBECONFIG, LEVELS, ClusterError


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="scripts/cluster", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up", help="bring it up at this level, each containing the ones before")
    up.add_argument("level", nargs="?", choices=LEVELS, default="capi")
    up.add_argument("--provider", choices=("processes", "kind"), default="processes", help="kind needs a Docker daemon")
    lab_flags(up)
    down = verbs.add_parser("down", help="stop everything, undo every change to this machine")
    down.add_argument("--purge", action="store_true", help="also remove keys and logs")
    down.add_argument("--provider", choices=("processes", "kind"), default="processes")
    verbs.add_parser("status", help="one line per process; exit 1 unless all run")
    verbs.add_parser("env", help='for eval "$(scripts/cluster env)"')
    verbs.add_parser("image", help="build the step image of this tree, import it if pods run, print its reference")
    new = verbs.add_parser("lab", help="create a workload cluster of 3 + 3 in-memory machines")
    new.add_argument("kind", choices=lab.KINDS)
    new.add_argument("name")
    new.add_argument("-n", "--namespace", default="default")
    new.add_argument("--print", action="store_true", help="only print the manifest")
    recording = verbs.add_parser("record", help="record objects in moments of a roll into tests/kube/recorded")
    recording.add_argument("kind", choices=lab.KINDS)
    gone = verbs.add_parser("delete-lab", help="delete a workload cluster and wait")
    gone.add_argument("name")
    gone.add_argument("-n", "--namespace", default="default")
    lab_flags(verbs.add_parser("talos-lab", help="restart talos-lab with these flags; it finds its machines again"))
    return top


def lab_flags(command: argparse.ArgumentParser) -> None:
    command.add_argument("--node-ready", default="0s", metavar="DURATION", help="how long a new Node stays NotReady")
    command.add_argument("--reboot", default="15s", metavar="DURATION", help="how long a rebooted machine stays away")
    command.add_argument("--boot", default="3s", metavar="DURATION", help="shortest boot sequence")


def flags_of(arguments: argparse.Namespace) -> tuple[str, ...]:
    return "--node-ready", arguments.node_ready, "--reboot", arguments.reboot, "--boot", arguments.boot


def main() -> int:
    arguments = parser().parse_args()
    try:
        return run_verb(arguments)
    except ClusterError as error:
        print(f"scripts/cluster: {error}", file=sys.stderr)
        return 1


def run_verb(arguments: argparse.Namespace) -> int:
    match arguments.verb:
        case "up" if arguments.provider == "kind":
            kind.up(arguments.level)
        case "down" if arguments.provider == "kind":
            kind.down()
        case "up":
            lifecycle.up(arguments.level, flags_of(arguments))
        case "down":
            lifecycle.down(purge=arguments.purge)
        case "status":
            return status()
        case "env":
            return environment()
        case "image":
            print(pods.step_image().reference)
        case "lab" if arguments.print:
            print(lab.manifest(arguments.kind, arguments.name, arguments.namespace), end="")
        case "lab":
            lab.create(arguments.kind, arguments.name, arguments.namespace)
        case "record":
            print(record.record(arguments.kind))
        case "delete-lab":
            lab.delete(arguments.name, arguments.namespace)
        case "talos-lab":
            run(talos_lab(flags_of(arguments)))
    return 0


def status() -> int:
    found = records()
    print("\n".join(lifecycle.status()) or "the cluster is down; next: scripts/cluster up")
    return 0 if found and all(record.alive() for record in found) else 1


def environment() -> int:
    if not records():
        print("scripts/cluster: the cluster is down; next: scripts/cluster up", file=sys.stderr)
        return 1
    print(f'export KUBECONFIG="{KUBECONFIG}"\nexport PATH="{BIN}:$PATH"')
    return 0


if __name__ == "__main__":
    sys.exit(main())
