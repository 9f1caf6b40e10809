"""Seeded bugs of the overlays and the export: each would deploy something else than what the site says, or hold a sync."""

from tests.seeded.bug import Bug

HOMELAB, ARGO_CD, OVERLAY = "workflows/homelab.py", "workflows/argocd.py", "workflows/overlay.py"
EXPORT, KUSTOMIZE, CHANGES = "workflows/export.py", "workflows/kustomize.py", "workflows/changes.py"
V, G = "tests/authoring/test_overlays.py::", "tests/authoring/test_gitops.py::"
H, R = "tests/authoring/test_health.py::", "tests/authoring/test_renovate.py::"
GOLDEN = "tests/authoring/test_golden.py::"
NEVER_BACK = H + "test_a_machine_deployment_never_holds_the_next_wave_back"
UNKNOWN = H + "test_what_is_not_known_of_a_control_plane_is_not_healthy"
TO_ADD = G + "test_it_says_exactly_what_to_add"
DIFF = G + "test_the_diff_is_a_patch"

BUGS = (
    Bug(
        "w-workers-with-the-control-plane",
        HOMELAB,
        '_metadata(cluster, pool.name, "-1")',
        '_metadata(cluster, pool.name, "0")',
        V + "test_waves_let_the_control_plane_come_last",
    ),
    Bug(
        "w-surge",
        HOMELAB,
        '"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}',
        '"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}',
        V + "test_machines_are_replaced_old_first_and_one_at_a_time",
    ),
    Bug(
        "w-control-plane-surge",
        HOMELAB,
        '"rollingUpdate": {"maxSurge": 0}}',
        '"rollingUpdate": {"maxSurge": 1}}',
        V + "test_machines_are_replaced_old_first_and_one_at_a_time",
    ),
    Bug(
        "w-template-keeps-its-name",
        HOMELAB,
        'json.dumps(_config("worker", pool), sort_keys=True).encode()',
        "b''",
        V + "test_a_changed_machine_configuration_is_a_new_template",
    ),
    Bug(
        "w-reference-not-rewritten",
        HOMELAB,
        '                            "name": _config_name(pool),',
        '                            "name": pool.name,',
        V + "test_a_changed_machine_configuration_is_a_new_template",
    ),
    Bug(
        "w-templates-pruned",
        HOMELAB,
        '"Prune=false"',
        '"PruneLast=true"',
        V + "test_old_templates_stay_while_machine_sets_refer_to_them",
    ),
    Bug(
        "h-gate",
        ARGO_CD,
        'status = "Healthy", message = message}',
        'status = "Progressing", message = message}',
        NEVER_BACK,
    ),
    Bug("h-silent", ARGO_CD, 'message = obj.status.phase .. ", " .. message', "message = message", NEVER_BACK),
    Bug(
        "h-string-library",
        ARGO_CD,
        'obj.status.phase .. ", " .. message',
        'string.format("%s, %s", obj.status.phase, message)',
        NEVER_BACK,
    ),
    Bug("h-old-generation", ARGO_CD, "status.observedGeneration ~= obj.metadata.generation", "false", UNKNOWN),
    Bug("h-unknown-is-fine", ARGO_CD, 'condition.status ~= "True"', 'condition.status == "False"', UNKNOWN),
    Bug("h-nothing-is-fine", ARGO_CD, 'found["Ready"] == nil or ', "", UNKNOWN),
    Bug("h-any-version", ARGO_CD, " or status.version ~= spec.version", "", UNKNOWN),
    Bug("h-failed", ARGO_CD, "if status.failureMessage ~= nil then", "if false then", UNKNOWN),
    Bug("h-paused", ARGO_CD, 'annotations["cluster.x-k8s.io/paused"] ~= nil', "false", UNKNOWN),
    Bug(
        "h-etcd",
        ARGO_CD,
        '"MachinesSpecUpToDate", "Resized"',
        '"Resized"',
        H + "test_the_health_of_a_control_plane",
    ),
    Bug(
        "x-users-kustomization-overwritten",
        EXPORT,
        " and not (name == KUSTOMIZATION and text.startswith(HEADER))",
        " and name != KUSTOMIZATION",
        G + "test_it_writes_beside_the_users_files_and_touches_none",
    ),
    Bug(
        "x-hand-written-overwritten",
        EXPORT,
        "if old is not None and not old.startswith(HEADER):",
        "if False:",
        GOLDEN + "test_a_hand_written_file_stops_the_export_before_anything_is_written",
    ),
    Bug(
        "x-others-deleted",
        EXPORT,
        "path not in texts and old.startswith(HEADER)]",
        "path not in texts]",
        G + "test_it_writes_beside_the_users_files_and_touches_none",
    ),
    Bug(
        "x-two-kustomizations",
        KUSTOMIZE,
        '("kustomization.yaml", "kustomization.yml", "Kustomization")',
        '("kustomization.yaml",)',
        G + "test_a_kustomization_under_another_name_is_the_users_too",
    ),
    Bug(
        "x-nothing-to-read",
        EXPORT,
        "if not isinstance(content, dict):",
        "if False:",
        G + "test_a_kustomization_that_cannot_be_read_stops_the_export",
    ),
    Bug("x-dots", KUSTOMIZE, 'entry.removeprefix("./")', "entry", TO_ADD),
    Bug("x-nothing-lacks", KUSTOMIZE, "if _same(entry) not in there]", "if not there]", TO_ADD),
    Bug("x-dangling", KUSTOMIZE, "name not in there", "False", G + "test_it_says_what_names_a_file_that_is_gone"),
    Bug("x-check-writes", EXPORT, "    if not check:\n", "    if True:\n", DIFF),
    Bug("x-no-newline", CHANGES, 'f"{line}\\n\\\\ No newline at end of file\\n"', 'f"{line}\\n"', DIFF),
    Bug("x-created-from-itself", CHANGES, '"/dev/null" if self.old is None else ', "", DIFF),
    Bug(
        "p-two-fields",
        KUSTOMIZE,
        '"newTag": image.tag + (f"@{image.digest}" if image.digest else "")}',
        '"newTag": image.tag} | ({"digest": image.digest} if image.digest else {})',
        R + "test_two_fields_would_be_skipped",
    ),
    Bug(
        "p-generated",
        OVERLAY,
        'GENERATED = ("capi-rollout", "argo-cd")',
        'GENERATED = ("argo-workflows", "capi-rollout", "argo-cd")',
        R + "test_an_update_survives_the_next_export",
    ),
    Bug(
        "p-untold",
        EXPORT,
        "elif entry != kustomize.pin(image):",
        "elif False:",
        R + "test_an_update_survives_the_next_export",
    ),
    Bug(
        "k-namespace",
        OVERLAY,
        '    yield "capi-rollout", kustomize.kustomization(*triggers)',
        '    yield "capi-rollout", kustomize.kustomization(*triggers, namespace="argo")',
        V + "test_namespaces_are_explicit",
    ),
    Bug(
        "k-secrets-forgotten",
        KUSTOMIZE,
        "if site.secrets else {}",
        "if False else {}",
        V + "test_ksops_is_asked_only_where_the_site_has_secrets",
    ),
)
