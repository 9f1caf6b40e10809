"""Verify anybody's GitOps tree: would a rollout without a spare machine work as it is written there?

`files` reads, `located` keeps lines, `builds` applies kustomizations, `rules` judge, `render` prints.
"""
