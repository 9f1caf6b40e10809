"""The test cluster: a real management cluster as plain processes of this machine, without Docker.

`scripts/cluster` runs it (`python -m ci.cluster`). README.md beside this file tells how it works.
"""
