"""Seeded bugs of the way to the API server, and of what becomes of a write whose answer is lost."""

from tests.seeded.bug import Bug

CALLS, CONNECT, LISTS = "guards/kube/calls.py", "guards/kube/connect.py", "guards/kube/lists.py"
TRANSPORT, CLIENT, ANSWERS = "guards/kube/transport.py", "guards/kube/client.py", "guards/kube/answers.py"
STEPS, ACT, MAIN = "guards/steps.py", "guards/remediate.py", "guards/__main__.py"
EDGE = "tests/edge/test_"
CERTIFICATE = EDGE + "tls.py::test_a_wrong_certificate_is_not_told_anything"
ROTATED = EDGE + "client.py::test_a_rotated_token_is_sent_after_a_minute_and_at_once_after_a_401"
LOST = "tests/remediation/test_lost_deletes.py::"
NO_REPEATS = "    configuration.retries = False\n"

BUGS = (
    Bug("e-any-authority", CONNECT, NO_REPEATS, NO_REPEATS + "    configuration.verify_ssl = False\n", CERTIFICATE),
    Bug("e-any-address", CONNECT, NO_REPEATS, NO_REPEATS + "    configuration.assert_hostname = False\n", CERTIFICATE),
    Bug("e-certificate-unexplained", TRANSPORT, "if isinstance(error, ssl.SSLCertVerificationError):", "if False:",
        CERTIFICATE),
    Bug("e-repeats-below", CONNECT, NO_REPEATS, "    configuration.retries = 3\n",
        EDGE + "writes.py::test_a_write_with_unknown_outcome_is_sent_once"),
    Bug("e-proxy", CONNECT, "    configuration.proxy = None\n", '    configuration.proxy = os.environ.get("HTTP_PROXY")\n',
        EDGE + "client.py::test_the_environments_proxy_is_not_used"),
    Bug("e-stale-token", CONNECT, "self._monotonic() - self._token_read >= TOKEN_AGE", "not self._token", ROTATED),
    Bug("e-401-is-final", CALLS, "if answer.status == 401 and not renewed:", "if False:", ROTATED),
    Bug("e-401-for-ever", CALLS, "                    renewed = True\n", "",
        EDGE + "answers.py::test_401_asks_for_fresh_credentials_once"),
    Bug("e-token-quoted", CALLS, "if known else answer", "if False else answer",
        EDGE + "client.py::test_an_error_page_that_repeats_the_request_does_not_repeat_the_token"),
    Bug("e-write-after-429", ANSWERS, "if answer.status == 429:", "if False:",
        EDGE + "writes.py::test_429_is_not_done_and_not_sent_again"),
    Bug("e-any-2xx", ANSWERS, "if seen != (api_version, kind):", "if False:",
        EDGE + "lists.py::test_a_broken_answer_is_no_answer"),
    Bug("e-older-state", LISTS, "if version >= newest:", "if True:", EDGE + "lists.py::test_an_older_state_is_refused"),
    Bug("e-stale-for-ever", LISTS, "if lag >= LONGEST_LAG:", "if False:",
        EDGE + "lists.py::test_a_state_that_stays_older_for_five_minutes_is_another_world"),
    Bug("e-lag-adds-up", LISTS, "                self._behind_since.pop(collection, None)\n", "",
        EDGE + "lists.py::test_a_server_that_catches_up_begins_anew"),
    Bug("e-one-version-for-all", CLIENT, "lambda v: self._versions.accept(collection, v, what)",
        'lambda v: self._versions.accept("", v, what)', EDGE + "lists.py::test_each_collection_has_its_own_versions"),
    Bug("e-pages-without-end", LISTS, "for _ in range(MOST_PAGES):", "while True:",
        EDGE + "lists.py::test_pages_without_end_end"),
    Bug("e-half-a-list", LISTS, "    if version is not None and version != int(text):", "    if False:",
        EDGE + "lists.py::test_half_a_list_is_never_returned"),
    Bug("e-restored-is-a-bug", STEPS, "(BadCredential, Unreadable, WentBack)", "(BadCredential, Unreadable)",
        "tests/steps/test_steps.py::test_a_restored_etcd_is_a_refusal_and_no_bug"),
    Bug("e-lost-delete-forgotten", ACT, "        except KubeError:\n            return State.UNKNOWN",
        "        except KubeError:\n            self._withdraw(act)\n            raise",
        LOST + "test_a_delete_that_never_arrived_is_not_sent_again"),
    Bug("e-refused-delete-counted", ACT,
        "        except (Conflict, NotFound) as error:\n            self._withdraw(act)\n",
        "        except (Conflict, NotFound) as error:\n",
        LOST + "test_a_delete_of_a_machine_that_has_changed_was_not_done_and_is_not_counted"),
    Bug("e-forbidden-is-withheld", ACT, "        except Forbidden:\n            raise  # a", "        except ZeroDivisionError:\n            raise  # a",
        LOST + "test_a_delete_that_is_not_permitted_any_more_ends_the_run_at_once"),
    Bug("e-signal-ignored", MAIN, "        _on_signal(_interrupt)\n", "        _on_signal(_too_late)\n",
        "tests/signals/test_signals.py::test_signals_in_the_middle_of_an_act"),
    Bug("e-goodbye-without-end", MAIN, "    at_the_latest.start()\n", "",
        "tests/steps/test_process.py::test_a_log_that_is_blocked_does_not_keep_a_process_that_is_told_to_go"),
    Bug("e-act-without-intent", ACT,
        "        if not self.tenure.store(with_act(self.tenure.ledger(memory, snapshot), act)):",
        "        if False:", "tests/signals/test_signals.py::test_signals_in_the_middle_of_an_act"),
)  # fmt: skip
