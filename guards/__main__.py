"""`python -m guards VERB [PARAMETERS.json] [--flag …]`: one verb, one exit code."""

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from guards.core.verdict import Ending
from guards.exits import Exit
from guards.flags import BadInput, Command, read_command
from guards.journal import Journal
from guards.kube.clock import ServerClock
from guards.naming import TALOS_FOLDER
from guards.parameters import SCOPES

if TYPE_CHECKING:
    from guards.kube.ports import Clock
    from guards.talos.ports import TalosMachines

NODE_NAME = "CAPI_ROLLOUT_NODE_NAME"


class Terminated(BaseException):
    """SIGTERM: the pod is evicted, its node drained, or the Workflow stopped. No `except Exception` may hold it up."""


def main(argv: list[str] | None = None) -> int:
    """The exit code. What was said is on stdout; a bug leaves its traceback on stderr."""
    signal.signal(signal.SIGTERM, _terminated)
    in_pod = NODE_NAME in os.environ  # only the WorkflowTemplate sets it, whatever else the input is
    journal = Journal.of_pod(os.environ) if in_pod else Journal()
    try:
        return int(_run(read_command(sys.argv[1:] if argv is None else argv, os.environ), journal))
    except BadInput as error:
        ending = Ending(error.exit, str(error))
    except Terminated:
        ending = Ending(Exit.INTERRUPTED, "interrupted by a signal; nothing is half done, starting again is safe")
    except KeyboardInterrupt:
        ending = Ending(Exit.CTRL_C, "interrupted; nothing was changed")
    except Exception as error:
        journal.end(ServerClock().now(), Ending(Exit.BUG, f"a bug of this program, nothing was decided: {error!r}"))
        raise
    journal.end(ServerClock().now(), ending)
    return int(ending.exit)


def _run(command: Command, journal: Journal) -> Exit:
    # The API client costs a quarter of a second: bad input and --help do not wait for it.
    from guards.kube.client import Client
    from guards.kube.connect import NotConfigured, connect
    from guards.steps import World, run_step

    try:
        connection = connect(command.kubeconfig, command.context)
    except NotConfigured as error:
        raise BadInput(str(error)) from error
    client = Client(connection)
    try:
        world = World(client, client, journal, _machines(command, client))
        return run_step(command.verb, world, command.parameters).exit
    finally:
        client.close()


def _machines(command: Command, clock: "Clock") -> "TalosMachines | None":
    """The machines themselves, for the steps that may act; a run that only watches does not load what talks to them."""
    if command.parameters.max_remediations == 0 or command.verb not in SCOPES:
        return None
    from guards.talos.client import TalosClient

    parameters = command.parameters
    return TalosClient(Path(TALOS_FOLDER), parameters.cluster_namespace, parameters.cluster_name, clock.now)


def _terminated(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise Terminated


if __name__ == "__main__":
    sys.exit(main())
