package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// birth is what is wrong with a new machine: {"node": "hung", "etcd": "learner"}, the names without their prefix.
type birth map[string]string

// births of a Cluster, by pool: a list is used up, one entry per new machine; one object stands for each new machine.
type births map[string]json.RawMessage

// misplanned is a birth that nobody can read; asking again does not help.
type misplanned struct{ error }

// next takes the birth for a machine that belongs to these pools: of the first of them that has any.
func (b births) next(pools ...string) (found birth, err error) {
	for _, pool := range pools {
		raw, planned := b[pool]
		if !planned {
			continue
		}
		var queue []birth
		if err = json.Unmarshal(raw, &found); err == nil {
			return found, nil
		}
		if err = json.Unmarshal(raw, &queue); err != nil || len(queue) == 0 {
			return nil, misplanned{fmt.Errorf(`%sbirths of %q: %s: expected {"node": "hung"} or [{"node": "hung"}, {}]`, prefix, pool, raw)}
		}
		if b[pool], _ = json.Marshal(queue[1:]); len(queue) == 1 {
			delete(b, pool)
		}
		return queue[0], nil
	}
	return nil, nil
}

// pools of a machine: its MachineDeployment's name before "workers", or "control-plane".
func pools(obj *unstructured.Unstructured) []string {
	if _, is := obj.GetLabels()["cluster.x-k8s.io/control-plane"]; is {
		return []string{"control-plane"}
	}
	return []string{obj.GetLabels()["cluster.x-k8s.io/deployment-name"], "workers"}
}

// birthOf is asked once per machine. Its own annotation lab.talos/born, inherited from a template, goes before the
// Cluster's lab.talos/births. That one is read afresh and written back with its resource version: no birth is used
// twice, and what is left stands there after a restart of talos-lab too.
func (l *lab) birthOf(ctx context.Context, obj *unstructured.Unstructured) (birth, error) {
	if inherited, is := obj.GetAnnotations()[prefix+"born"]; is {
		found := birth{}
		if err := json.Unmarshal([]byte(inherited), &found); err != nil {
			return nil, misplanned{fmt.Errorf(`%sborn: %w: expected {"node": "hung"}`, prefix, err)}
		}
		return found, nil
	}
	api := l.dyn.Resource(clusterGVR).Namespace(obj.GetNamespace())
	owner, err := api.Get(ctx, obj.GetLabels()[clusterLabel], metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	text, planned := owner.GetAnnotations()[prefix+"births"]
	if !planned {
		return nil, nil
	}
	all := births{}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, misplanned{fmt.Errorf(`%sbirths: %w: expected {"workers": [{"node": "hung"}]}`, prefix, err)}
	}
	found, err := all.next(pools(obj)...)
	if err != nil {
		return nil, err
	}
	return found, l.keepBirths(ctx, owner, all, text)
}

func (l *lab) keepBirths(ctx context.Context, owner *unstructured.Unstructured, left births, before string) error {
	var note any
	if after, _ := json.Marshal(left); len(left) > 0 {
		note = string(after)
	}
	if note == before {
		return nil
	}
	patch, _ := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": owner.GetResourceVersion(), "annotations": map[string]any{prefix + "births": note}}})
	_, err := l.dyn.Resource(clusterGVR).Namespace(owner.GetNamespace()).Patch(ctx, owner.GetName(), types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// facts are the annotations that a birth gives to its machine; a fault that does not exist is an error.
func (b birth) facts() (map[string]any, error) {
	if len(b) == 0 {
		return nil, nil
	}
	text, _ := json.Marshal(b)
	facts := map[string]any{"born": string(text)}
	for _, kind := range slices.Sorted(maps.Keys(b)) {
		if err := valid(kind, b[kind]); err != nil {
			return nil, misplanned{err}
		}
		facts[kind] = b[kind]
	}
	return facts, nil
}
