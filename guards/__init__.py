"""Runs in the steps' pods: looks at a Cluster API management cluster, decides, says why, waits.

    API objects ─observe─▶ Snapshot ─decide─▶ Verdict ─report─▶ lines · termination log · outputs
                                        └── wait, look again

`core` decides and knows no I/O; `kube` reads the API; `simulator` is a management cluster in memory; `run` is the loop.
"""
