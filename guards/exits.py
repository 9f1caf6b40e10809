"""Exit codes: what a step, a shell and Argo learn from the end of a process.

One place maps every ending to a number. 64 and 65 are never used: Argo's executor uses them itself.
"""

from enum import IntEnum


class Exit(IntEnum):
    """The code a process ends with; the retry expression of the WorkflowTemplate reads RETRIED."""

    DONE = 0
    """The work is done, or there was none (converged, superseded, bootstrapping, scaling)."""
    BUG = 1
    """An error of this program. Nothing was decided."""
    USAGE = 2
    """Bad parameters or flags. Nothing was touched."""
    REFUSED = 3
    """A guard said no: a refusal before the roll, or a breach during it."""
    TIMED_OUT = 4
    """No progress, or no view of the workload cluster, for longer than allowed."""
    UNREACHABLE = 69
    """The management API did not answer for 15 minutes."""
    INTERRUPTED = 75
    """Ended by a signal; starting again is right."""
    FORBIDDEN = 77
    """A permission is missing."""
    CONTRACT = 78
    """The image and the WorkflowTemplate, or the served API versions, do not fit together."""
    CLI_TIMEOUT = 124
    """`--timeout` of a command line ran out; the run itself goes on."""
    CTRL_C = 130
    """Ctrl-C; the run itself goes on."""


RETRIED = (-1, Exit.UNREACHABLE, Exit.INTERRUPTED, 137, 143)
"""Codes after which Argo starts the step again: -1 = pod deleted, 137 and 143 = killed by a signal."""
