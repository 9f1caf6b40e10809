"""What looking at the management cluster can fail with. "No" is a value; "could not look" is one of these.

KubeError
├── Unreachable        no answer, a broken answer, 429 or 5xx after all tries: nothing is known
├── WentBack           the collections are older than what this run has seen, for minutes: a restored etcd
├── Forbidden          401 after a fresh token, or 403: a permission is missing; or there is no credential to show
├── NotFound           the named object does not exist
├── Conflict           409: exists already, or changed meanwhile
├── Invalid            the API server refused an object of ours (400, 422)
├── NotServed          a kind, or every version of it that we can parse, is not served
└── Malformed          an object has a shape that no version of its API allows
"""


class KubeError(Exception):
    """Base of all. The message names the object, what was seen and what was expected."""


class Unreachable(KubeError):
    pass


class WentBack(KubeError):
    pass


class Forbidden(KubeError):
    pass


class NotFound(KubeError):
    pass


class Conflict(KubeError):
    pass


class Invalid(KubeError):
    pass


class NotServed(KubeError):
    pass


class Malformed(KubeError):
    pass
