package main

import (
	"fmt"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource/protobuf"
	"github.com/siderolabs/talos/pkg/machinery/api/common"
	machineapi "github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/resources/runtime"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// Roles as in Talos.
var (
	admin   = role.MakeSet(role.Admin)
	operate = role.MakeSet(role.Admin, role.Operator)
	read    = role.MakeSet(role.Admin, role.Operator, role.Reader)
	backup  = role.MakeSet(role.Admin, role.Operator, role.Reader, role.EtcdBackup)
)

// methods is all that the machines can do: what the control plane provider calls, and what a rollout tool needs.
var methods = map[string]method{
	"/machine.MachineService/Version":               {read, (*call).versionCall},
	"/machine.MachineService/Hostname":              {read, (*call).hostnameCall},
	"/machine.MachineService/SystemStat":            {read, (*call).systemStat},
	"/machine.MachineService/ServiceList":           {read, (*call).services},
	"/machine.MachineService/Events":                {read, (*call).follow},
	"/machine.MachineService/List":                  {read, (*call).listFolder},
	"/machine.MachineService/Read":                  {admin, (*call).readFile},
	"/machine.MachineService/Reboot":                {operate, (*call).rebootCall},
	"/machine.MachineService/Bootstrap":             {admin, (*call).bootstrap},
	"/machine.MachineService/EtcdMemberList":        {backup, quorate((*call).memberList)},
	"/machine.MachineService/EtcdStatus":            {backup, local((*call).etcdStatus)},
	"/machine.MachineService/EtcdAlarmList":         {backup, local((*call).alarms)},
	"/machine.MachineService/EtcdForfeitLeadership": {admin, quorate((*call).forfeitLeadership)},
	"/machine.MachineService/EtcdLeaveCluster":      {admin, quorate((*call).leaveCluster)},
	"/machine.MachineService/EtcdRemoveMemberByID":  {admin, quorate((*call).removeMember)},
	"/cosi.resource.State/Get":                      {read, (*call).getResource},
}

func (c *call) versionCall() (proto.Message, error) {
	return &machineapi.VersionResponse{Messages: []*machineapi.Version{{
		Version:  &machineapi.VersionInfo{Tag: c.version, Os: "linux", Arch: "amd64"},
		Platform: &machineapi.PlatformInfo{Name: "metal", Mode: "metal"}, Features: &machineapi.FeaturesInfo{Rbac: true}}}}, nil
}

func (c *call) hostnameCall() (proto.Message, error) {
	name := c.m.node
	if other := c.m.fault("hostname"); other != "" {
		name = other
	}
	return &machineapi.HostnameResponse{Messages: []*machineapi.Hostname{{Hostname: name}}}, nil
}

func (c *call) systemStat() (proto.Message, error) {
	return &machineapi.SystemStatResponse{Messages: []*machineapi.SystemStat{{BootTime: uint64(c.m.bootTime.Unix())}}}, nil
}

// listFolder knows one: the control plane provider looks for etcd's data before it bootstraps.
func (c *call) listFolder() (proto.Message, error) {
	root := c.req.(*machineapi.ListRequest).Root
	if !c.m.etcdData || root != "/var/lib/etcd/member" {
		return nil, fmt.Errorf("lstat %s: no such file or directory", root)
	}
	return nil, c.send(&machineapi.FileInfo{Name: root, RelativeName: ".", IsDir: true})
}

// readFile knows one: the boot ID, by which talosctl and others see that a reboot happened.
func (c *call) readFile() (proto.Message, error) {
	if path := c.req.(*machineapi.ReadRequest).Path; path != "/proc/sys/kernel/random/boot_id" {
		return nil, fmt.Errorf("stat %s: no such file or directory", path)
	}
	return nil, c.send(&common.Data{Bytes: []byte(c.m.bootID + "\n")})
}

// getResource knows one: MachineStatus.
func (c *call) getResource() (proto.Message, error) {
	req, res := c.req.(*v1alpha1.GetRequest), runtime.NewMachineStatus()
	if req.Type != runtime.MachineStatusType || req.Id != runtime.MachineStatusID {
		return nil, status.Errorf(codes.NotFound, "resource %s(%s/%s@undefined) doesn't exist", req.Type, req.Namespace, req.Id)
	}
	res.TypedSpec().Stage = c.m.stage()
	res.TypedSpec().Status.Ready = res.TypedSpec().Stage == runtime.MachineStageRunning
	encoded, err := protobuf.FromResource(res)
	if err != nil {
		return nil, err
	}
	answer, err := encoded.Marshal()
	return &v1alpha1.GetResponse{Resource: answer}, err
}

func (m *machine) stage() runtime.MachineStage {
	if told, err := runtime.MachineStageString(m.fault("stage")); err == nil {
		return told
	}
	switch {
	case !m.rebootAt.IsZero():
		return runtime.MachineStageRebooting
	case !m.booted:
		return runtime.MachineStageBooting
	}
	return runtime.MachineStageRunning
}
