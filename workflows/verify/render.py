"""A report as text for people, for programs, for code scanning (SARIF 2.1.0) and for a CI log (GitHub, Forgejo)."""

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from workflows.verify.findings import RULES, Finding, Level
from workflows.verify.form import Form

if TYPE_CHECKING:
    from workflows.verify.judge import Report

SIGNS = {Level.ERROR: "✖", Level.WARNING: "⚠"}
SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def rendered(report: "Report", form: Form) -> str:
    if form is Form.JSON:
        return json.dumps(document(report), indent=2, ensure_ascii=False)
    if form is Form.SARIF:
        return json.dumps(sarif(report), indent=2, ensure_ascii=False)
    line = _command if form is Form.GITHUB else _block
    return "\n".join(line(each) for each in report.findings)


def summary(report: "Report") -> str:
    errors, warnings = report.count(Level.ERROR), report.count(Level.WARNING)
    return f"{_count(errors, 'error')}, {_count(warnings, 'warning')} in {_seen(report)}"


def _seen(report: "Report") -> str:
    return f"{_count(report.objects, 'object')} of {_count(report.files, 'file')}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _block(each: Finding) -> str:
    where = f"{each.place.path}:{each.place.line}"
    return f"{SIGNS[each.level]} {where}  {each.rule}\n  {each.sentence}\n  next: {each.next}"


def _command(each: Finding) -> str:
    """A workflow command of GitHub Actions; Forgejo and Gitea read the same."""
    file, message = _escaped(each.place.path, also=":,"), _escaped(f"{each.sentence}. Next: {each.next}")
    return f"::{each.level} file={file},line={each.place.line},title={each.rule}::{message}"


def _escaped(text: str, also: str = "") -> str:
    return "".join(f"%{ord(char):02X}" if char in f"%\r\n{also}" else char for char in text)


def document(report: "Report") -> dict[str, Any]:
    return {
        "findings": [
            {
                "rule": each.rule,
                "level": str(each.level),
                "file": each.place.path,
                "line": each.place.line,
                "object": each.object,
                "text": each.text,
                "next": each.next,
            }
            for each in report.findings
        ],
        "errors": report.count(Level.ERROR),
        "warnings": report.count(Level.WARNING),
        "files": report.files,
        "objects": report.objects,
        "changesUnseen": report.unseen,
    }


def sarif(report: "Report") -> dict[str, Any]:
    names = list(RULES)
    driver = {
        "name": "capi-rollout verify",
        "rules": [{"id": rule, "shortDescription": {"text": holds}} for rule, holds in RULES.items()],
    }
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [_result(each, names) for each in report.findings]}],
    }


def _result(each: Finding, names: list[str]) -> dict[str, Any]:
    location = {"artifactLocation": {"uri": quote(each.place.path)}, "region": {"startLine": each.place.line}}
    return {
        "ruleId": each.rule,
        "ruleIndex": names.index(each.rule),
        "level": str(each.level),
        "message": {"text": f"{each.sentence}. Next: {each.next}"},
        "locations": [{"physicalLocation": location}],
    }
