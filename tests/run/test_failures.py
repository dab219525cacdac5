import pytest

from kvmwizard.plan.model import RunCommand, RunGuestAs, Step
from kvmwizard.run.failures import failure_words, last_attempt, lists_are_outdated
from kvmwizard.run.root_client import Outcome
from kvmwizard.words import Words, say
from tests.run.plans import step

ENDED = Outcome(100, None, "", None)


def words(log: str, outcome: Outcome = ENDED, of: Step | None = None) -> str:
    return failure_words(of or step("a.step"), outcome, log.splitlines(), None).english


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        # As apt-get 2.6 and dpkg 1.21 of Debian 12 print them.
        ("E: You don't have enough free space in /var/cache/apt/archives/.", "disk is full"),
        ("dpkg: error: failed to write: No space left on device", "disk is full"),
        ("cp: error writing '/home/a/x': Disk quota exceeded", "disk is full"),
        ("E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 7 (apt)", "kept its lock"),
        ("Err:1 http://deb bookworm InRelease\n  Temporary failure resolving 'deb'", "cannot be reached"),
        ("Err:1 http://deb x.deb\n  404  Not Found [IP: 10.0.0.1 80]", "does not have what"),
        ("E: Unable to locate package qemu-system-x86", "do not offer the package"),
        ("modprobe: FATAL: Module kvm_intel not found in directory /lib/modules/6.1.0", "no such module"),
        ("modprobe: ERROR: could not insert 'kvm_intel': Operation not supported", "firmware"),
        ("modprobe: ERROR: could not insert 'kvm': Key was rejected by service", "Secure Boot"),
        ("modprobe: FATAL: Module kvm is in use.", "Shut the guests down"),
        ("dpkg: dependency problems prevent removal of qemu-utils:", "Remove those first, or leave it so."),
    ],
)
def test_a_known_cause_is_named_with_what_to_do(log: str, cause: str) -> None:
    assert cause in words(log)


def test_a_network_that_is_away_is_told_before_what_follows_from_it() -> None:
    log = "Temporary failure resolving 'deb'\nE: Unable to fetch some archives, maybe run apt-get update"
    assert "cannot be reached" in words(log)


def test_an_unknown_cause_quotes_the_last_line() -> None:
    said = words("first\nsomething odd\n\n")
    assert said.endswith("It said last: something odd. See its whole log, then retry.")


def test_the_announcement_of_a_command_is_nothing_that_it_said() -> None:
    silent = step("a.step").model_copy(update={"actions": (RunCommand(argv=("/bin/false", "a b")),)})
    said = words("+ /bin/false a b\n", of=silent)
    assert said == (
        "Its command ended with code 100 and said nothing: + /bin/false a b. See its whole log, then retry."
    )


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (
            (
                "Setting up own (1) ...\ndepmod: FATAL: could not search modules: No such file or directory\n"
                "dpkg: error processing package own (--install):\n"
                " installed own package post-installation script subprocess returned error exit status 1\n"
                "Errors were encountered while processing:\n own\n"
            ),
            "depmod: FATAL: could not search modules",
        ),
        (
            (
                "dpkg: error processing archive own.deb (--install):\n"
                " trying to overwrite '/boot/config', which is also in package other 1\n"
                "Errors were encountered while processing:\n own.deb\n"
            ),
            "trying to overwrite '/boot/config', which is also in package other 1",
        ),
        ("Errors were encountered while processing:\n own\n", "It said last: own."),
    ],
)
def test_of_dpkg_the_reason_is_quoted_and_not_the_packages_that_it_names_last(log: str, reason: str) -> None:
    assert reason in words(log)


def test_only_the_last_attempt_counts() -> None:
    log = ["=== attempt 1, then", "404  Not Found", "=== attempt 2, now", "all else"]
    assert last_attempt(log) == ("all else",)
    assert not lists_are_outdated(log)


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome(None, "user", "mallory", None), "no user mallory"),
        (Outcome(None, "lock", "/var/lib/dpkg/lock", None), "/var/lib/dpkg/lock was held"),
        (Outcome(-9, None, "", None), "signal 9"),
        (Outcome(None, "taken", "/boot/vmlinuz-6.1", None), "/boot/vmlinuz-6.1 is there already"),
        (Outcome(None, "taken", "/var/lib/dpkg/info/our-kernel.list", None), "(dpkg --purge our-kernel)"),
        (Outcome(None, "members", "kvm: bob", None), "(gpasswd --delete bob kvm), then retry."),
        (Outcome(None, "members", "kvm: bob, carol", None), "(gpasswd --delete USER kvm), then retry."),
        (Outcome(None, "repair", "dpkg returned 1", None), "Run dpkg --configure -a as root"),
        (Outcome(None, "unheard-of", "", None), "unheard-of"),
    ],
)
def test_what_the_helper_says_becomes_a_sentence(outcome: Outcome, said: str) -> None:
    assert said in words("", outcome)


def test_a_guest_that_did_not_run_says_why() -> None:
    guest = step("access.prove").model_copy(
        update={"actions": (RunGuestAs(user="alice", program_sha256="0" * 64),)}
    )
    output = '{"ran": false, "problem": "KVM_CREATE_VM: Permission denied"}'
    said = words("", Outcome(1, None, "", output), guest)
    assert "alice" in said
    assert "KVM_CREATE_VM: Permission denied" in said


@pytest.mark.parametrize(
    ("found", "so"),
    [(say("{path} is not there", path="/x"), "be: /x is not there. Retry"), (None, "be. Retry")],
)
def test_commands_that_succeeded_in_vain_say_what_is_missing(found: Words | None, so: str) -> None:
    said = failure_words(step("a"), Outcome(0, None, "", None), [], found).english
    assert so in said
    assert said.endswith("if it happens again, save a report.")


@pytest.mark.parametrize("log", ["cp: cannot create '/x': Permission denied", "Operation not permitted"])
def test_who_was_not_permitted_to_do_it_is_said(log: str) -> None:
    assert "even to root" in words(log, of=step("as.root", root=True))
    by_user = words(log, of=step("as.user"))
    assert by_user == "The system did not permit it. Look at the path that the log names, then retry."


def test_a_path_that_no_log_names_is_named_where_the_system_refused_it_to_a_user() -> None:
    refused = Outcome(None, "system", "[Errno 13] Permission denied: '/x'", None)
    assert words("", refused).startswith("The system refused: [Errno 13] Permission denied: '/x'.")
    assert "even to root" in words("", refused, step("as.root", root=True))


@pytest.mark.parametrize(
    ("detail", "advice"),
    [
        ("[Errno 28] No space left on device: '/opt/kvmwizard'", "Make room"),
        ("[Errno 5] Input/output error", "The system refused: [Errno 5] Input/output error."),
    ],
)
def test_what_the_system_refused_has_its_cause_named_where_it_is_known(detail: str, advice: str) -> None:
    assert advice in words("", Outcome(None, "system", detail, None))
