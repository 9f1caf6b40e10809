"""`python -m workflows COMMAND`."""

from workflows.cli import app

if __name__ == "__main__":
    app(prog_name="python -m workflows")
