"""Loaded by Python itself before `python -m guards`: the two things of a pod that a test cannot have.

The folder of the mounted Secret, and a world in which a fifth of a second is not more than a minute.
"""

import os

from guards import naming
from guards.kube import watch

naming.TALOS_FOLDER = os.environ["TALOS_FOLDER_OF_THE_TEST"]
watch.COALESCE = 0.01
