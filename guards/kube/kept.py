"""The Ledger as annotations of the Lease, and back. What cannot be read back is Malformed, never an empty ledger."""

import json
from functools import cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from guards.core.ledger import Act, Ledger, Outcome
from guards.core.memory import Memory
from guards.kube.errors import Malformed
from guards.kube.fields import annotation, describe
from guards.kube.ports import Object

PREFIX = "capi-rollout/"
BUDGET, INTENT, OUTCOME, PROGRESS = (PREFIX + name for name in ("budget", "intent", "outcome", "progress"))


@cache
def _adapter(what: Any) -> TypeAdapter[Any]:
    return TypeAdapter(what)


def annotations(ledger: Ledger) -> dict[str, str | None]:
    """Values of all four; None = no such annotation."""
    done = tuple(act for act in ledger.acts if not act.open)
    intent = tuple(act for act in ledger.acts if act.open)
    progress = None
    if ledger.progress is not None:
        memory = json.loads(_adapter(Memory).dump_json(ledger.progress, exclude_defaults=True))
        progress = json.dumps({"run": ledger.progress_run, "step": ledger.progress_step, "memory": memory})
    return {
        BUDGET: _dump(tuple[Act, ...], done) if done else None,
        INTENT: _dump(tuple[Act, ...], intent) if intent else None,
        OUTCOME: _dump(Outcome, ledger.outcome) if ledger.outcome else None,
        PROGRESS: progress,
    }


def ledger_of(lease: Object) -> Ledger:
    """Malformed names the annotation that somebody has edited."""
    acts = (*(_load(lease, BUDGET, tuple[Act, ...]) or ()), *(_load(lease, INTENT, tuple[Act, ...]) or ()))
    progress: dict[str, Any] = _load(lease, PROGRESS, dict[str, Any]) or {}
    memory = None
    if progress:
        memory = _read(lease, PROGRESS, Memory, json.dumps(progress.get("memory")))
    return Ledger(
        acts=tuple(sorted(acts, key=lambda act: act.at)),
        outcome=_load(lease, OUTCOME, Outcome),
        progress_run=str(progress.get("run", "")),
        progress_step=str(progress.get("step", "")),
        progress=memory,
    )


def _dump(what: Any, value: Any) -> str:
    return str(_adapter(what).dump_json(value).decode())


def _load(lease: Object, key: str, what: Any) -> Any:
    text = annotation(lease, key)
    return None if text is None else _read(lease, key, what, text)


def _read(lease: Object, key: str, what: Any, text: str) -> Any:
    try:
        return _adapter(what).validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise Malformed(
            f"{describe(lease)}: annotation {key} cannot be read ({where}: {problem['msg']}); it says what was done to "
            "which machine: restore it, or delete the Lease when nothing was done in the last 24 hours"
        ) from error
