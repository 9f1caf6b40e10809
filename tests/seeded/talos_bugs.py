"""Seeded bugs of the Talos client: who counts as the machine, as open, as silent, and how long anything takes."""

from tests.seeded.bug import Bug

AUTHORITY, CONNECTION, SILENCE = "guards/talos/authority.py", "guards/talos/connection.py", "guards/talos/silence.py"
ROUNDS, CLIENT = "guards/talos/rounds.py", "guards/talos/client.py"
STRANGERS = "tests/talos/test_strangers.py::test_"
REBOOT = "tests/talos/test_reboot.py::test_"
RULES = STRANGERS + "a_machine_that_breaks_the_rules_of_http_2_is_broken"

BUGS = (
    Bug(
        "t-open-without-greeting",
        CONNECTION,
        "            self._take(self._early)\n            self.greeted.set_result(None)\n",
        "            self._take(self._early)\n        if not self.greeted.done():\n            self.greeted.set_result(None)\n",
        STRANGERS + "a_machine_that_never_greets_is_unreachable",
    ),
    Bug(
        "t-speaks-first",
        CONNECTION,
        "        self.greeted = asyncio.get_running_loop().create_future()\n",
        "        self.greeted = asyncio.get_running_loop().create_future()\n        super().connection_made(transport)\n",
        STRANGERS + "we_say_nothing_before_the_greeting",
    ),
    Bug("t-any-frame-greets", CONNECTION, "kind != _SETTINGS", "False", RULES + "[goaway]"),
    Bug("t-an-acknowledgement-greets", CONNECTION, "flags & _ACK", "False", RULES + "[acknowledged]"),
    Bug("t-broken-is-gone", CONNECTION, "            self.lost = error\n", "", RULES + "[wrong-later]"),
    Bug(
        "t-endless-greeting",
        CONNECTION,
        "await within(self.limits.handshake, self._greeted(plain))",
        "await self._greeted(plain)",
        STRANGERS + "a_machine_that_never_greets_is_unreachable",
    ),
    Bug(
        "t-endless-question",
        "guards/talos/methods.py",
        "await within(connection.limits.call, self._answer(connection, request))",
        "await self._answer(connection, request)",
        "tests/talos/test_silence.py::test_one_question_that_hangs_is_enough",
    ),
    Bug(
        "t-stranger-hides-a-silence",
        ROUNDS,
        "Silence.UNREACHABLE, Silence.STRANGER)",
        "Silence.STRANGER, Silence.UNREACHABLE)",
        STRANGERS + "a_stranger_hides_no_silence[plain]",
    ),
    Bug(
        "t-stranger-takes-the-time",
        ROUNDS,
        "        tasks = [asyncio.create_task(self._at(each, until)) for each in filter(is_ip, self.target.addresses)]\n",
        "        tasks = []\n"
        "        for each in filter(is_ip, self.target.addresses):\n"
        "            tasks.append(asyncio.create_task(self._at(each, until)))\n"
        "            await asyncio.wait(tasks)\n",
        STRANGERS + "a_slow_stranger_uses_up_nobody_elses_time",
    ),
    Bug(
        "t-stranger-is-a-silence",
        SILENCE,
        'return Silence.STRANGER, f"a server that does not speak TLS',
        'return Silence.UNREACHABLE, f"a server that does not speak TLS',
        STRANGERS + "a_stranger_is_told_for_what_it_is[plain]",
    ),
    Bug(
        "t-anybody-may-refuse-us",
        SILENCE,
        "return _no_tls(_reason(error)) if doing == HANDSHAKE else _alert(_reason(error))",
        "return _alert(_reason(error))",
        STRANGERS + "an_alert_before_its_certificate_is_not_about_ours",
    ),
    Bug(
        "t-expired-untold",
        SILENCE,
        '    "CERTIFICATE_EXPIRED": "by the machine\'s clock it is not valid now",\n',
        "",
        STRANGERS + "a_client_certificate_that_has_expired_for_the_machine_is_denied",
    ),
    Bug(
        "t-all-of-talos-is-maintenance",
        AUTHORITY,
        "issuer == TALOS and wants is False",
        "issuer == TALOS",
        STRANGERS + "a_stranger_is_told_for_what_it_is[cluster]",
    ),
    Bug(
        "t-all-that-asks-for-nothing-is-maintenance",
        AUTHORITY,
        "issuer == TALOS and wants is False",
        "wants is False",
        STRANGERS + "a_stranger_is_told_for_what_it_is[web-2]",
    ),
    Bug(
        "t-unseen-is-no",
        AUTHORITY,
        "asks_for_a_certificate(error) or None",
        "asks_for_a_certificate(error)",
        STRANGERS + "what_cannot_be_seen_is_not_guessed",
    ),
    Bug(
        "t-any-authority",
        "guards/talos/talosconfig.py",
        "    if not _trusts(context, ca):\n",
        "    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE\n    if not _trusts(context, ca):\n",
        STRANGERS + "nothing_is_asked_insecurely[False]",
    ),
    Bug(
        "t-reboots-whoever-is-there",
        CLIENT,
        "if found != (machine.hostname, machine.boot_time):",
        "if False:",
        REBOOT + "only_the_machine_and_the_boot_that_answered_is_rebooted[cp-2]",
    ),
    Bug(
        "t-reboots-any-boot",
        CLIENT,
        "if found != (machine.hostname, machine.boot_time):",
        "if found[0] != machine.hostname:",
        REBOOT + "only_the_machine_and_the_boot_that_answered_is_rebooted[rebooted]",
    ),
)
