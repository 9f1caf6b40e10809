"""docs/decisions.md explains every rule that a message can name, and names no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_rule_is_explained_and_every_explained_rule_exists() -> None:
    files = [*(ROOT / "guards/core").glob("*.py"), ROOT / "guards/remediate.py"]
    code = "\n".join(path.read_text() for path in files)
    named = set(re.findall(r'Finding\(\s*"([A-Za-z0-9-]+)"', code)) | set(re.findall(r"\[(G\d)\]", code))
    text = (ROOT / "docs/decisions.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| ")]
    ids = re.compile(r"G\d|(?:[RQ]-)?[a-z]+(?:-[a-z]+)*")
    explained = {rule for row in rows for rule in ids.findall(row)} - {"rule", "id"}
    said = {"act"} | set(re.search(r"Said in passing:(.*)\n", text)[1].split("`")[1::2])  # type: ignore[index]
    assert named == explained | said
