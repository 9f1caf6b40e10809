"""The faults of an API server and of the way to it, and the tests that prove what is right then: one row each.

Ids and behaviour are those of the fault model, section A. `over the wire` are tests with real sockets.
"""

from dataclasses import dataclass

ANSWERS, CLIENT, CLOCK = "tests/edge/test_answers.py::", "tests/edge/test_client.py::", "tests/edge/test_clock.py::"
LISTS, READS, WRITES = "tests/edge/test_lists.py::", "tests/edge/test_reads.py::", "tests/edge/test_writes.py::"
CONNECT, TLS, WATCH = "tests/edge/test_connect.py::", "tests/edge/test_tls.py::", "tests/edge/test_watch.py::"
SIGNALS, STEPS = "tests/signals/test_signals.py::", "tests/steps/test_steps.py::"
FAULTS, CRASHES = "tests/simulator/test_faults.py::", "tests/remediation/test_crashes.py::"
LOST, FENCE = "tests/remediation/test_lost_deletes.py::", "tests/remediation/test_fence.py::"


@dataclass(frozen=True)
class Row:
    fault: str
    right: str
    tests: tuple[str, ...]


ROWS: dict[str, Row] = {
    "F-A1": Row(
        "connect timeout, DNS failure, refused, TLS error",
        "reads: tried again within the call's budget, then nothing is known and the run waits",
        (
            READS + "test_a_connect_that_nobody_answers_ends",
            READS + "test_a_name_that_does_not_resolve",
            READS + "test_nobody_listens",
            TLS + "test_a_wrong_certificate_is_not_told_anything",
            TLS + "test_a_write_to_a_wrong_certificate_is_not_sent",
            TLS + "test_a_server_without_tls",
            TLS + "test_in_a_pod_the_authority_is_the_service_accounts",
            FAULTS + "test_no_single_outage_changes_the_ending",
        ),
    ),
    "F-A2": Row(
        "read timeout before the response",
        "write: sent once, the outcome is unknown and read back by UID",
        (
            WRITES + "test_a_write_ends_within_its_time",
            WRITES + "test_a_write_with_unknown_outcome_is_sent_once",
            LOST + "test_a_delete_that_never_arrived_is_not_sent_again",
        ),
    ),
    "F-A3": Row(
        "reset or timeout after it was applied",
        "the same; the Machine's UID gone or deleting: done, counted once",
        (
            WRITES + "test_a_write_with_unknown_outcome_is_sent_once",
            WRITES + "test_nobody_listens",
            LOST + "test_a_delete_whose_answer_is_lost_counts_once_and_is_seen_by_its_uid",
        ),
    ),
    "F-A4": Row(
        "half-open connection, silent watch",
        "every read is bounded, every call has a watchdog",
        (
            READS + "test_an_answer_without_an_end_ends",
            READS + "test_a_read_ends_within_its_time_over_all_tries",
            READS + "test_a_watch_that_fell_silent_ends",
            WRITES + "test_a_write_ends_within_its_time",
            TLS + "test_a_handshake_without_an_end_ends",
            CLIENT + "test_threads_do_not_share_a_connection",
        ),
    ),
    "F-A5": Row(
        "dripping, endless, huge, truncated, compressed body",
        "watchdog and a limit of size; nothing is known",
        (
            READS + "test_an_answer_without_an_end_ends",
            READS + "test_a_body_without_end_is_cut_off_at_its_size",
            READS + "test_a_body_that_claims_to_be_huge_is_not_waited_for",
            READS + "test_a_broken_connection_is_tried_again",
            LISTS + "test_a_broken_answer_is_no_answer",
            WATCH + "test_lines_are_bounded_however_they_arrive",
        ),
    ),
    "F-A6": Row(
        "429 with Retry-After (0, 1, 3600, a date, garbage)",
        "reads: honoured up to a minute and the budget; a write was not done and is not sent again",
        (
            READS + "test_retry_after_is_honoured",
            READS + "test_a_wish_longer_than_the_call_ends_it",
            READS + "test_no_wish_is_honoured_for_longer_than_a_minute",
            READS + "test_a_senseless_wish_is_ignored",
            WRITES + "test_429_is_not_done_and_not_sent_again",
        ),
    ),
    "F-A7": Row(
        "500, 502, 503, 504",
        "reads are tried again; writes leave their outcome unknown",
        (
            READS + "test_a_read_is_tried_again",
            READS + "test_a_read_gives_up_with_the_servers_words",
            WRITES + "test_a_write_with_unknown_outcome_is_sent_once",
        ),
    ),
    "F-A8": Row(
        "401: the token has expired or was rotated",
        "the file is read again once and the read tried again once, then it ends",
        (
            ANSWERS + "test_401_asks_for_fresh_credentials_once",
            CLIENT + "test_a_rotated_token_is_sent_after_a_minute_and_at_once_after_a_401",
            CONNECT + "test_a_rotated_token_is_read_after_a_minute_and_on_401",
            WRITES + "test_401_renews_the_credential_for_the_next_call",
            WATCH + "test_rotated_credentials_reach_the_watch",
        ),
    ),
    "F-A9": Row(
        "403, also in mid-run",
        "the end at once, naming verb and resource; permissions are asked for before the first wait",
        (
            ANSWERS + "test_403_is_not_tried_again",
            ANSWERS + "test_an_access_review",
            ANSWERS + "test_a_review_without_a_verdict_is_no_answer",
            WRITES + "test_a_refused_write_is_sent_once",
            LOST + "test_a_delete_that_is_not_permitted_any_more_ends_the_run_at_once",
            FAULTS + "test_no_permission_lost_in_mid_run_goes_unnoticed",
            FAULTS + "test_a_permission_that_was_never_there_is_named_before_the_roll",
        ),
    ),
    "F-A10": Row(
        "404 on a collection, a version that is not served any more",
        "discovered again once; an absent kind is never zero objects",
        (
            ANSWERS + "test_a_missing_collection_is_not_served",
            ANSWERS + "test_a_missing_object_and_a_missing_kind_differ",
            ANSWERS + "test_a_version_that_ends_is_discovered_again",
            ANSWERS + "test_kinds_that_are_not_served",
            STEPS + "test_a_kind_that_is_not_served_is_78",
        ),
    ),
    "F-A11": Row(
        "409 on the Lease or on a precondition",
        "not ours any more, or changed: everything is looked at afresh",
        (
            WRITES + "test_a_refused_write_is_sent_once",
            LOST + "test_a_delete_of_a_machine_that_has_changed_was_not_done_and_is_not_counted",
            FENCE + "test_a_lease_that_was_stolen_ends_all_acting",
        ),
    ),
    "F-A12": Row(
        "410 on a watch or on a continue token",
        "what was read is void; a fresh list from the beginning",
        (
            LISTS + "test_an_expired_token_starts_the_list_over",
            LISTS + "test_tokens_that_always_expire_end",
            WATCH + "test_410_has_the_kind_listed_and_watches_from_anywhere",
        ),
    ),
    "F-A13": Row(
        "a later page fails, repeats, or belongs to another list; pages without end",
        "the whole list is void",
        (
            LISTS + "test_half_a_list_is_never_returned",
            LISTS + "test_an_error_on_a_later_page_voids_the_first_one",
            LISTS + "test_a_later_page_that_is_cut_off_is_asked_for_again_not_left_out",
            LISTS + "test_pages_without_end_end",
        ),
    ),
    "F-A14": Row(
        "a stale list: a lagging API server, a restored etcd",
        "no resourceVersion is asked for; a lower one than seen is discarded, for five minutes, then it ends",
        (
            LISTS + "test_a_list_asks_for_the_newest_state_in_pages",
            LISTS + "test_an_older_state_is_refused",
            LISTS + "test_a_state_that_stays_older_for_five_minutes_is_another_world",
            LISTS + "test_each_collection_has_its_own_versions",
            STEPS + "test_a_restored_etcd_is_a_refusal_and_no_bug",
        ),
    ),
    "F-A15": Row(
        "200 with a failure, null, nothing, another kind, another namespace",
        "only the exact shape is an answer",
        (
            LISTS + "test_a_broken_answer_is_no_answer",
            LISTS + "test_an_empty_list_is_an_answer",
            ANSWERS + "test_the_object_must_be_the_one_asked_for",
            WRITES + "test_an_update_is_answered_with_its_own_object",
            WRITES + "test_the_deletion_of_another_object_is_no_answer",
        ),
    ),
    "F-A16": Row(
        "the management API is away for long: its own control plane rolls",
        "waited for through 15 minutes; a minute of steady looks before any act",
        (
            READS + "test_nobody_listens",
            STEPS + "test_an_outage_is_sat_out_for_a_quarter_of_an_hour",
            "tests/remediation/test_refusals.py::test_after_an_outage_it_looks_for_a_minute_first",
        ),
    ),
    "F-A17": Row(
        "proxies in the environment, redirects",
        "neither is followed",
        (
            CLIENT + "test_the_environments_proxy_is_not_used",
            CONNECT + "test_only_a_proxy_named_in_the_kubeconfig_counts",
            LISTS + "test_a_broken_answer_is_no_answer",
            WRITES + "test_a_write_follows_no_redirect",
        ),
    ),
    "F-A18": Row(
        "an admission webhook is down",
        "the outcome of the write is unknown, and read back",
        (
            WRITES + "test_a_write_with_unknown_outcome_is_sent_once",
            LOST + "test_a_delete_that_never_arrived_is_not_sent_again",
        ),
    ),
    "F-A19": Row(
        "two API servers with different caches behind one address",
        "the newer list counts; a watch only wakes",
        (
            LISTS + "test_a_server_that_catches_up_begins_anew",
            WATCH + "test_an_event_wakes_and_names_the_kind",
            CLOCK + "test_an_answer_from_the_past_is_void",
        ),
    ),
    "F-A20": Row(
        "a request arrives after the Lease was lost",
        "UID and resourceVersion in the delete; every act has its intent on record",
        (
            WRITES + "test_delete_carries_both_preconditions",
            WRITES + "test_delete_never_goes_without_its_preconditions",
            WRITES + "test_update_never_goes_without_its_preconditions",
            SIGNALS + "test_signals_in_the_middle_of_an_act",
            CRASHES + "test_two_pods_of_one_run_act_once",
        ),
    ),
}
