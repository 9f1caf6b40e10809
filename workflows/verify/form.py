"""The forms of a report. Apart from what makes them: the command line knows them before it verifies anything."""

from enum import StrEnum


class Form(StrEnum):
    TABLE = "table"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"
