"""Text from outside (names, conditions, answers) made fit for terminals, logs and the Argo UI."""


def printable(text: str, limit: int) -> str:
    """One line without control characters, at most `limit` characters; each sign that is left out is a space."""
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"
