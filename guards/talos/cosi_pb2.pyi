from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetRequest(_message.Message):
    __slots__ = ("namespace", "type", "id")
    NAMESPACE_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    namespace: str
    type: str
    id: str
    def __init__(self, namespace: _Optional[str] = ..., type: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("resource",)
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    resource: Resource
    def __init__(self, resource: _Optional[_Union[Resource, _Mapping]] = ...) -> None: ...

class Resource(_message.Message):
    __slots__ = ("metadata", "spec")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    SPEC_FIELD_NUMBER: _ClassVar[int]
    metadata: Metadata
    spec: Spec
    def __init__(self, metadata: _Optional[_Union[Metadata, _Mapping]] = ..., spec: _Optional[_Union[Spec, _Mapping]] = ...) -> None: ...

class Metadata(_message.Message):
    __slots__ = ("type", "id")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    type: str
    id: str
    def __init__(self, type: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class Spec(_message.Message):
    __slots__ = ("proto_spec",)
    PROTO_SPEC_FIELD_NUMBER: _ClassVar[int]
    proto_spec: bytes
    def __init__(self, proto_spec: _Optional[bytes] = ...) -> None: ...

class MachineStatusSpec(_message.Message):
    __slots__ = ("stage", "status")
    class Stage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        UNKNOWN: _ClassVar[MachineStatusSpec.Stage]
        BOOTING: _ClassVar[MachineStatusSpec.Stage]
        INSTALLING: _ClassVar[MachineStatusSpec.Stage]
        MAINTENANCE: _ClassVar[MachineStatusSpec.Stage]
        RUNNING: _ClassVar[MachineStatusSpec.Stage]
        REBOOTING: _ClassVar[MachineStatusSpec.Stage]
        SHUTTING_DOWN: _ClassVar[MachineStatusSpec.Stage]
        RESETTING: _ClassVar[MachineStatusSpec.Stage]
        UPGRADING: _ClassVar[MachineStatusSpec.Stage]
    UNKNOWN: MachineStatusSpec.Stage
    BOOTING: MachineStatusSpec.Stage
    INSTALLING: MachineStatusSpec.Stage
    MAINTENANCE: MachineStatusSpec.Stage
    RUNNING: MachineStatusSpec.Stage
    REBOOTING: MachineStatusSpec.Stage
    SHUTTING_DOWN: MachineStatusSpec.Stage
    RESETTING: MachineStatusSpec.Stage
    UPGRADING: MachineStatusSpec.Stage
    STAGE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    stage: MachineStatusSpec.Stage
    status: MachineStatusStatus
    def __init__(self, stage: _Optional[_Union[MachineStatusSpec.Stage, str]] = ..., status: _Optional[_Union[MachineStatusStatus, _Mapping]] = ...) -> None: ...

class MachineStatusStatus(_message.Message):
    __slots__ = ("ready",)
    READY_FIELD_NUMBER: _ClassVar[int]
    ready: bool
    def __init__(self, ready: _Optional[bool] = ...) -> None: ...
