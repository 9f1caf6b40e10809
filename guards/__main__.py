"""`python -m guards VERB [PARAMETERS.json] [--flag …]`: one verb, one exit code.

The step works in a thread of its own while the main thread waits for it, or for a signal. So a signal ends the process
wherever the step is: in a request that hangs, in the look-up of a name that nothing can interrupt, between two lines
that hold a lock. It is never raised inside the step, and no `except` or `finally` of the step runs after it.
"""

# Nothing that takes its time is imported here: until `main` runs, a signal kills the process without a word.
import os
import signal
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from guards.flags import Command
    from guards.journal import Journal
    from guards.kube.client import Client
    from guards.parameters import Parameters
    from guards.talos.ports import TalosMachines

NODE_NAME = "CAPI_ROLLOUT_NODE_NAME"
ENDED_BY = (signal.SIGTERM, signal.SIGINT)
LONGEST_GOODBYE = 3.0
"""Seconds for the last word after a signal: standard output may be a pipe that nobody reads any more."""


class Interrupted(BaseException):
    """SIGTERM (the pod is evicted, its node drained, the Workflow stopped) or SIGINT; its number is the argument."""


def main(argv: list[str] | None = None) -> int:
    """The exit code. What was said is on stdout; a bug leaves its traceback on stderr."""
    stop = threading.Event()
    ended: SimpleQueue[int | BaseException] = SimpleQueue()
    journal = None
    try:
        _on_signal(_interrupt)
        journal = _journal()
        work = (sys.argv[1:] if argv is None else argv, journal, stop, ended)
        threading.Thread(target=_work, args=work, name="step", daemon=True).start()
        result = ended.get()
        _on_signal(_too_late)
    except Interrupted as interrupted:
        stop.set()
        return _goodbye(journal or _journal(), interrupted.args[0])
    if isinstance(result, BaseException):
        raise result
    return result


def _work(
    argv: list[str], journal: "Journal", stop: threading.Event, ended: "SimpleQueue[int | BaseException]"
) -> None:
    try:
        ended.put(_run(argv, journal, stop))
    except BaseException as error:  # the main thread raises it: a bug, or the SystemExit of --help
        ended.put(error)


def _run(argv: list[str], journal: "Journal", stop: threading.Event) -> int:
    from guards.core.verdict import Ending
    from guards.exits import Exit
    from guards.flags import BadInput, read_command
    from guards.kube.clock import ServerClock

    try:
        command = read_command(argv, os.environ)
        client = _client(command, stop)
        try:
            return _step(command, client, journal, stop)
        finally:
            client.close()
    except BadInput as error:
        return int(journal.end(ServerClock().now(), Ending(error.exit, str(error))).exit)
    except Exception as error:
        journal.end(ServerClock().now(), Ending(Exit.BUG, f"a bug of this program, nothing was decided: {error!r}"))
        raise


def _client(command: "Command", stop: threading.Event) -> "Client":
    # It costs a quarter of a second: bad input and --help do not wait for it.
    from guards.flags import BadInput
    from guards.kube.client import Client
    from guards.kube.connect import NotConfigured, connect

    try:
        return Client(connect(command.kubeconfig, command.context), stop=stop)
    except NotConfigured as error:
        raise BadInput(str(error)) from error


def _step(command: "Command", client: "Client", journal: "Journal", stop: threading.Event) -> int:
    from guards.parameters import Rounds

    parameters = command.parameters
    if isinstance(parameters, Rounds):
        from guards.backstop import run_backstop

        return int(run_backstop(client, client, journal, parameters).exit)
    from guards.steps import World, run_step

    world = World(client, client, journal, _machines(command.verb, parameters, client, stop))
    return int(run_step(command.verb, world, parameters).exit)


def _machines(verb: str, parameters: "Parameters", client: "Client", stop: threading.Event) -> "TalosMachines | None":
    """The machines themselves, for the steps that may act; a run that only watches does not load what talks to them."""
    from guards.naming import TALOS_FOLDER
    from guards.parameters import SCOPES

    if parameters.max_remediations == 0 or verb not in SCOPES:
        return None
    from guards.talos.client import TalosClient

    folder = Path(TALOS_FOLDER)
    return TalosClient(folder, parameters.cluster_namespace, parameters.cluster_name, client.now, stop=stop)


def _goodbye(journal: "Journal", number: int) -> int:
    """Say that it was interrupted, unless the step has just said its own last word; in bounded time."""
    from guards.core.verdict import Ending
    from guards.exits import Exit
    from guards.kube.clock import ServerClock

    code = Exit.CTRL_C if number == signal.SIGINT else Exit.INTERRUPTED
    sentence = f"interrupted by {signal.Signals(number).name}; nothing more is done, starting again is safe"
    at_the_latest = threading.Timer(LONGEST_GOODBYE, os._exit, (int(code),))
    at_the_latest.daemon = True
    at_the_latest.start()
    return int(journal.end(ServerClock().now(), Ending(code, sentence)).exit)


def _journal() -> "Journal":
    from guards.journal import Journal

    # Only the WorkflowTemplate sets the node's name, whatever else the input is.
    return Journal.of_pod(os.environ) if NODE_NAME in os.environ else Journal()


def _on_signal(handler: "signal._HANDLER") -> None:
    for number in ENDED_BY:
        signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    _on_signal(_too_late)  # one is enough: a second one must not break off the last word
    raise Interrupted(number)


def _too_late(_number: int, _frame: FrameType | None) -> None:
    pass


if __name__ == "__main__":
    ended_with = main()
    sys.stdout.flush()
    # Not sys.exit: the interpreter's end waits for locks, and a step that was interrupted may hold one for ever.
    os._exit(ended_with)
