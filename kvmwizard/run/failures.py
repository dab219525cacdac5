"""Why a step failed, in words: the cause where it is known, and what to do next. Pure."""

import re
from collections.abc import Sequence
from dataclasses import replace

from kvmwizard.job import DISK_FULL
from kvmwizard.plan.model import RunCommand, RunGuestAs, Step
from kvmwizard.run.root_client import Outcome
from kvmwizard.words import Place, Words, say

ATTEMPT_MARK = "=== attempt "
"""How the line in a log begins under which an attempt's output stands."""

OUTDATED_LISTS = re.compile(
    r"404 +Not Found|Unable to fetch some archives|Some files failed to download|Hash Sum mismatch"
)

NOT_OFFERED = re.compile(r"Unable to locate package|has no installation candidate|unable to find a match")

DPKG_ACCOUNT = re.compile(
    r"^dpkg: error processing .*\n.* script subprocess returned error"
    r"|^Errors were encountered while processing",
    re.MULTILINE,
)
"""Where dpkg begins to name the packages that failed: what went wrong stands before it."""

CAUSES: tuple[tuple[re.Pattern[str], Words], ...] = (
    (
        re.compile(r"No space left on device|Disk quota exceeded|have enough free space"),
        DISK_FULL,
    ),
    (
        re.compile(r"Read-only file system"),
        say("The file system is mounted read-only. Mount it for writing (dmesg may say why), then retry."),
    ),
    (
        re.compile(r"Could not get lock|Unable to acquire the dpkg frontend lock|Unable to lock"),
        say("Another package manager kept its lock all the time. Let it finish, or end it, then retry."),
    ),
    (
        re.compile(
            r"Temporary failure resolving|Could not resolve|Network is unreachable|Could not connect to"
            r"|Connection timed out|Connection failed|No route to host|Unable to connect to"
        ),
        say("The package servers cannot be reached. Check the network and the name server, then retry."),
    ),
    (
        OUTDATED_LISTS,
        say(
            "The server does not have what the package lists promise. Its copy is probably being renewed: "
            "retry in some minutes, or choose another mirror in the package manager's sources."
        ),
    ),
    (
        NOT_OFFERED,
        say(
            "The package sources of this machine do not offer the package. Enable the distribution's own "
            "sources (on Debian, /etc/apt/sources.list), then retry."
        ),
    ),
    (
        re.compile(r"NO_PUBKEY|is not signed|EXPKEYSIG"),
        say(
            "A package source is not signed by a key that this machine trusts. Mend or remove that source, "
            "then retry."
        ),
    ),
    (
        re.compile(r"dependency problems prevent removal|dependency problems - not removing"),
        say("Other installed packages need these by now, so they stay. Remove those first, or leave it so."),
    ),
    (
        re.compile(r"Module \S+ not found in directory"),
        say(
            "The running kernel has no such module. If a new kernel was installed, restart into it, then "
            "retry; else choose another kernel."
        ),
    ),
    (
        re.compile(r"Key was rejected by service|Required key not available"),
        say("Secure Boot refuses a module that is not signed. Use the distribution's kernel, or sign it."),
    ),
    (
        re.compile(r"could not insert '\w+': (?:Operation not supported|Input/output error)"),
        say(
            "The processor does not let KVM in: virtualization is missing or switched off in the firmware. "
            "The hardware check says which."
        ),
    ),
    (
        re.compile(r"compression \(CONFIG_RD_\w+\) not supported by kernel"),
        say(
            "The new kernel was built without what unpacks an initramfs, so none can be made for it "
            "(update-initramfs). Build it with BLK_DEV_INITRD and RD_GZIP or RD_ZSTD."
        ),
    ),
    (
        re.compile(r"Module \S+ is in use"),
        say("Something still uses the module. Shut the guests down, then retry."),
    ),
)
"""Known causes, by what the log says; the first that is found is told."""

NOT_PERMITTED = re.compile(r"Permission denied|Operation not permitted")
"""Told after those, since much of what they name ends in it."""
NOT_PERMITTED_TO_ROOT = say(
    "The system did not permit it, even to root. A container or a security module may be why: look for it in "
    "the kernel's log (dmesg), then retry."
)
NOT_PERMITTED_TO_USER = say("The system did not permit it. Look at the path that the log names, then retry.")

CODES: dict[str, Words] = {
    "user": say(
        "There is no user {detail} on this machine. Choose another user, then "
        "make a new plan on the page Review (kvmwizard, then Esc)."
    ),
    "group": say(
        "The group {detail} is not there, or is not the one that /dev/kvm belongs to. "
        "Make a new plan on the page Review (kvmwizard, then Esc)."
    ),
    "lock": say("The lock {detail} was held by another program all the time. Let that finish, then retry."),
    "timed-out": say(
        "It was given up after {detail} seconds. See the log for what it waited for, then retry."
    ),
    "killed": say("It was killed from outside ({detail}). Retry; what is half done is finished first."),
    "path": say(
        "{detail} is not a plain place that root alone can change, so nothing was written. Look at it."
    ),
    "device": say("{detail} is not a device. Look at what stands in its place."),
    "members": say(
        "The group still has members ({detail}), so it stays. Take them out of it "
        "(gpasswd --delete {user} {group}), then retry."
    ),
    "repair": say(
        "An earlier package operation was interrupted and could not be finished ({detail}). Run "
        "dpkg --configure -a as root and see what it says, then retry."
    ),
    "payload": say(
        "What was to be installed is not what was staged, or does not belong there: {detail}. Nothing of it "
        "stays installed. Remove the build folder, then "
        "make a new plan on the page Review (kvmwizard, then Esc)."
    ),
    "taken": say(
        "{detail} is there already and was not installed by kvmwizard, so nothing was overwritten. Remove "
        "it, or choose another local version or prefix, then "
        "make a new plan on the page Review (kvmwizard, then Esc)."
    ),
    "running": say(
        "Linux {detail} runs right now, so its files are neither replaced nor removed. Choose another local "
        "version for the new kernel, or start another kernel first."
    ),
    "not-running": say(
        "Linux {detail} does not run, and only the kernel that runs is made the default. Restart into it, "
        "then retry."
    ),
    "menu": say(
        "The boot menu has no entry for Linux {detail}. Run update-grub as root and see what it says, then "
        "retry."
    ),
    "fault": say(
        "The root helper met an error of its own: {detail}. Retry; if it happens again, please report it."
    ),
    "system": say("The system refused: {detail}. Mend that, then retry."),
}
"""What the root helper's own words for a failure mean to people."""
DPKG_FILE = re.compile(r"/var/lib/dpkg/info/(?P<package>.+)\.(?:list|md5sums)")
PACKAGE_TAKEN = say(
    "This machine has, or removed without purging it, a package {package} that is not on kvmwizard's own "
    "list, so nothing was overwritten. If you don't need it, purge it as root (dpkg --purge {package}), then "
    "retry; else choose another local version, then "
    "make a new plan on the page Review (kvmwizard, then Esc)."
)
"""For a package that stands in the way, as `taken` does for a file."""


def failure_words(step: Step, outcome: Outcome, log: Sequence[str], found: Words | None) -> Words:
    """What happened, why, and what to do next.

    Args:
        step: the step that failed.
        outcome: what came of its actions.
        log: the last lines of its log.
        found: what is there instead of what shall be; None where that was not looked at.
    """
    if outcome.words is not None:
        return outcome.words
    attempt = last_attempt(log)
    text = "\n".join(attempt)
    if outcome.code == "system":
        # For a user's step the detail itself names the path, which the log does not.
        refused = _not_permitted(step, outcome.detail) if step.root else None
        return _cause(outcome.detail) or refused or _coded(outcome)
    if outcome.code is not None and outcome.code not in ("killed", "command"):
        return _coded(outcome)
    guest = next((action for action in step.actions if isinstance(action, RunGuestAs)), None)
    if guest is not None:
        return say(
            "The guest did not run as {user}: {problem}. The hardware check says more.",
            user=guest.user,
            problem=outcome.output or _last_line(attempt),
        )
    cause = _cause(text) or _not_permitted(step, text)
    if cause is not None:
        return cause
    if outcome.code is not None:
        return _coded(outcome)
    if outcome.returncode is not None and outcome.returncode < 0:
        return _coded(Outcome(None, "killed", f"signal {-outcome.returncode}", None))
    if outcome.returncode:
        line = _last_line(attempt)
        if line in _announcements(step):
            return say(
                "Its command ended with code {code} and said nothing: {line}. See its whole log, then retry.",
                code=outcome.returncode,
                line=line,
            )
        return say(
            "Its command ended with code {code}. It said last: {line}. See its whole log, then retry.",
            code=outcome.returncode,
            line=line,
        )
    return _in_vain(found)


def _in_vain(found: Words | None) -> Words:
    if found is None:
        return say(
            "Its commands succeeded, yet it is not as it shall be. Retry; if it happens again, save a report."
        )
    return say(
        "Its commands succeeded, yet it is not as it shall be: {found}. Retry; if it happens again, save a "
        "report.",
        found=found,
    )


def _announcements(step: Step) -> frozenset[str]:
    """What stands in the log before each command of the step."""
    return frozenset(
        f"+ {' '.join(action.argv)}".rstrip(".") for action in step.actions if isinstance(action, RunCommand)
    )


def _cause(text: str) -> Words | None:
    return next((words for pattern, words in CAUSES if pattern.search(text)), None)


def _not_permitted(step: Step, text: str) -> Words | None:
    if NOT_PERMITTED.search(text) is None:
        return None
    return NOT_PERMITTED_TO_ROOT if step.root else NOT_PERMITTED_TO_USER


def last_attempt(log: Sequence[str]) -> tuple[str, ...]:
    """The lines of the last attempt alone."""
    for index in range(len(log) - 1, -1, -1):
        if log[index].startswith(ATTEMPT_MARK):
            return tuple(log[index + 1 :])
    return tuple(log)


def lists_are_outdated(log: Sequence[str]) -> bool:
    """Whether the last attempt failed because the server no longer has what the lists name."""
    return OUTDATED_LISTS.search("\n".join(last_attempt(log))) is not None


def lists_are_missing(log: Sequence[str]) -> bool:
    """Whether the last attempt failed because the lists, as they are, do not name what is wanted."""
    return NOT_OFFERED.search("\n".join(last_attempt(log))) is not None


def not_renewed_words(why: Words) -> Words:
    """For packages that no list names, because the lists could not be renewed."""
    return say(
        "The package lists do not have it, for they could not be renewed before. There the reason was: {why}",
        why=why,
    )


def interrupted_words(times: int) -> Words:
    """For a step in which one runner after the other was gone."""
    return say(
        "The runner was killed {times} times in the middle of this step, so it is not tried again by itself. "
        "Look for what kills it (out of memory: dmesg), then retry.",
        times=times,
    )


def _coded(outcome: Outcome) -> Words:
    words = CODES.get(outcome.code or "")
    of_dpkg = DPKG_FILE.fullmatch(outcome.detail)
    if outcome.code == "taken" and of_dpkg is not None:
        return replace(PACKAGE_TAKEN, places=of_dpkg.groupdict())
    if words is not None:
        return replace(words, places={"detail": outcome.detail, **_named_members(outcome)})
    return say(
        "The root helper did not do it: {code}, {detail}. "
        "Make a new plan on the page Review (kvmwizard, then Esc); if that is refused too, "
        "kvmwizard plan --format sh writes a script to run as root.",
        code=outcome.code or "",
        detail=outcome.detail or "-",
    )


def _named_members(outcome: Outcome) -> dict[str, Place]:
    """Whom the root helper found in which group: `kvm: alice, bob`."""
    if outcome.code != "members":
        return {}
    group, _, members = outcome.detail.partition(": ")
    return {"group": group, "user": "USER" if ", " in members else members}


def _last_line(log: Sequence[str]) -> str:
    told = DPKG_ACCOUNT.split("\n".join(log), maxsplit=1)[0]
    lines = told.splitlines() if told.strip() else log
    return next((line.strip().rstrip(".") for line in reversed(lines) if line.strip()), "-")
