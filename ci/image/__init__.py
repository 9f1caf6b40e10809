"""The step image, built without Docker; Containerfile makes the same content for everybody else."""
