"""Seeded bugs of the trigger: each would start a run too many, one too few, or give an account too much."""

from tests.seeded.bug import Bug

TRIGGER, EVENTS, BACKSTOP = "workflows/trigger.py", "workflows/events.py", "workflows/backstop.py"
RBAC, ACCESS, SITE = "workflows/rbac.py", "guards/kube/access.py", "workflows/site.py"
UNATTENDED, LOOK, FLAGS = "guards/core/unattended.py", "guards/backstop.py", "guards/flags.py"
T, U, L = "tests/authoring/test_trigger.py::", "tests/core/test_unattended.py::", "tests/steps/test_backstop.py::"
F, B = "tests/authoring/test_filter.py::test_the_filter", "tests/authoring/test_backstop.py::"
R, S = "tests/authoring/test_rbac.py::", "tests/authoring/test_site.py::test_a_bad_site_says_what_is_wrong"
LITTLE = R + "test_what_starts_runs_by_itself_may_do_little_else"
LEFT = U + "test_what_is_left_out"

BUGS = (
    Bug("filter-deletion", TRIGGER, "if new.deletionTimestamp ~= nil then return false end\n", "", F + "[deletion]"),
    Bug("filter-no-label", TRIGGER, "if new.labels == nil or new.labels[label] == nil then return false end\n", "", F + "[label removed]"),
    Bug("filter-replay", TRIGGER, "if old == nil then return true end", "if old == nil then return false end",
        F + "[created, or replayed after a restart]"),
    Bug("filter-late-label", TRIGGER, "if old.metadata.labels == nil or old.metadata.labels[label] == nil then return true end\n", "",
        F + "[label added]"),
    Bug("filter-status", TRIGGER, "return new.generation ~= old.metadata.generation", "return true", F + "[status changed]"),
    Bug("name-without-uid", TRIGGER, '    "-{{ .Input.body.metadata.uid | trunc 8 }}"\n', "", T + "test_sensor_and_guards_agree_on_the_name"),
    Bug("name-of-a-float", TRIGGER, " | int64 }}", " }}", T + "test_the_name_of_a_large_generation_is_written_out"),
    Bug("arguments-shifted", TRIGGER, "for place, argument in enumerate(ARGUMENTS)", "for place, argument in enumerate(KEYS, 1)",
        T + "test_arguments_are_filled_by_position"),
    Bug("argument-of-something-else", TRIGGER, '"tcpGeneration": "body.metadata.generation"',
        '"tcpGeneration": "body.metadata.resourceVersion"', T + "test_arguments_are_filled_by_position"),
    Bug("no-catching-up", TRIGGER, 'event_types=["ADD", "UPDATE"]', 'event_types=["UPDATE"]', T + "test_only_talos_control_planes_are_watched"),
    Bug("never-again", EVENTS, "at_least_once: Literal[True] = True", "at_least_once: bool = False", T + "test_failed_creations_are_tried_again"),
    Bug("typos-pass", EVENTS, 'extra="forbid"', 'extra="ignore"', T + "test_a_key_that_argo_events_would_ignore_cannot_be_written"),
    Bug("bus-last", TRIGGER, 'annotations={SYNC_WAVE: "-1"}', 'annotations={SYNC_WAVE: "2"}', T + "test_bus_then_sensor_then_event_source"),
    Bug("bus-uninvited", "workflows/overlay.py", "site.events.event_bus.jetstream:\n", "site.events.event_bus.name:\n",
        "tests/authoring/test_golden.py::test_the_committed_overlay_is_the_export"),
    Bug("two-servers", SITE, "if self.replicas == 2:", "if False:", S + "[two buses]"),
    Bug("lost-deleting", UNATTENDED, "if watched.deleting:", "if False:", LEFT + "[deleting]"),
    Bug("lost-no-label", UNATTENDED, "if not watched.cluster:", "if False:", LEFT + "[no label]"),
    Bug("lost-has-run", UNATTENDED, "if has_run:", "if False:", LEFT + "[has its run]"),
    Bug("lost-old", UNATTENDED, "now - watched.changed_at >= RUN_KEPT", "False", LEFT + "[a week]"),
    Bug("lost-old-early", UNATTENDED, "now - watched.changed_at >= RUN_KEPT", "now - watched.changed_at >= RUN_KEPT / 2",
        LEFT + "[almost a week]"),
    Bug("lost-age-unknown", UNATTENDED, "return Judgement(Answer.UNKNOWN,", "return Judgement(Answer.NOTHING,", LEFT + "[age unknown]"),
    Bug("look-status-counts", LOOK, 'not text(manager, "subresource") and ', "", L + "test_what_needs_no_run[old, only the status is young]"),
    Bug("look-labels-count", LOOK, ' and "f:spec" in mapping(manager, "fieldsV1")', "",
        L + "test_what_needs_no_run[old, only others' fields are young]"),
    Bug("look-oldest", LOOK, "return max((time", "return min((time", L + "test_the_youngest_manager_of_the_spec_counts"),
    Bug("look-duplicate-fails", LOOK, "    except Conflict:\n", "    except Malformed:\n", L + "test_the_sensor_may_be_faster"),
    Bug("look-error-is-none", LOOK, "    except NotFound:\n", "    except KubeError:\n", L + "test_a_failure_is_an_exit_code_and_never_no_run[look]"),
    Bug("look-stops-at-the-first", LOOK, "yield _failed(f\"TalosControlPlanes in {namespace}\", error)\n        return",
        "raise", L + "test_what_cannot_be_read_keeps_no_other_from_its_run"),
    Bug("look-all-is-well", LOOK, "Ending(wrong[0].exit if wrong else Exit.DONE,", "Ending(Exit.DONE,",
        L + "test_what_cannot_be_read_keeps_no_other_from_its_run"),
    Bug("look-silent", LOOK, "    if not found:\n", "    if False:\n", L + "test_an_empty_namespace_is_said"),
    Bug("flags-of-others", FLAGS, "    if foreign:\n", "    if False:\n", "tests/steps/test_flags.py::test_flags_that_belong_to_another_verb"),
    Bug("sensor-reads", ACCESS, 'SENSOR_RULES = (Rule(ARGO, (WORKFLOW.plural,), ("create",)),)',
        'SENSOR_RULES = (Rule(ARGO, (WORKFLOW.plural,), ("create", "list")),)', LITTLE),
    Bug("source-everything", ACCESS, '("list", "watch")),)', "READ),)", LITTLE),
    Bug("backstop-watches", ACCESS, '(TALOS_CONTROL_PLANE.plural,), ("list",)),)', "(TALOS_CONTROL_PLANE.plural,), READ),)", LITTLE),
    Bug("backstop-deletes", ACCESS, '(WORKFLOW.plural,), ("get", "create"))', '(WORKFLOW.plural,), ("get", "create", "delete"))', LITTLE),
    Bug("backstop-shared", RBAC, "BACKSTOP_RULES, (BACKSTOP,)", "BACKSTOP_RULES, (BACKSTOP, SENSOR)",
        R + "test_remediation_and_a_second_namespace_add_no_more_than_they_need"),
    Bug("backstop-borrowed-account", BACKSTOP, "service_account_name=BACKSTOP", 'service_account_name="capi-rollout-runner"',
        B + "test_it_runs_under_its_own_account"),
    Bug("backstop-two-at-once", BACKSTOP, '"Forbid"', '"Allow"', B + "test_one_round_at_a_time_by_reference_alone"),
    Bug("backstop-uninvited", SITE, "backstop: bool = False", "backstop: bool = True",
        "tests/authoring/test_site.py::test_a_small_site_is_enough"),
    Bug("backstop-one-namespace", BACKSTOP, '",".join(site.namespaces)', "site.namespaces[0]", B + "test_it_looks_at_every_namespace_of_the_site"),
)  # fmt: skip
