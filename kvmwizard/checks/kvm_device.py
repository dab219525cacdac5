"""The device /dev/kvm: there, open, of the right version, and running a guest."""

from kvmwizard.checks import evidence
from kvmwizard.checks.chain import Link, Situation
from kvmwizard.checks.check import Check
from kvmwizard.checks.results import Cause, CheckResult
from kvmwizard.host.kvm_device import OpenOutcome
from kvmwizard.host.reading import Unknown, UnknownReason, known
from kvmwizard.words import Words, say

EXISTS = Check(
    "kvm.device.exists",
    say("Device /dev/kvm"),
    say("QEMU asks the kernel for guests through this device, and through nothing else."),
)
OPENS = Check(
    "kvm.device.opens",
    say("/dev/kvm opens"),
    say("A device can be there and readable by its mode, and still refuse to open."),
)
VERSION = Check(
    "kvm.api",
    say("KVM interface version"),
    say("QEMU runs only with version 12, the version of every kernel since 2.6.22."),
)
GUEST = Check(
    "kvm.guest",
    say("A guest runs"),
    say("A guest that really ran is the only full proof; flags and files can mislead."),
)

CONTAINER_REMEDIES = {
    "docker": say("Start the container again with `--device /dev/kvm`."),
    "podman": say("Start the container again with `--device /dev/kvm`."),
    "lxc": say(
        "Give the container the device in its configuration, as a unix-char device with the path /dev/kvm."
    ),
    "systemd-nspawn": say(
        "Start the container with `--bind=/dev/kvm` and allow it the device by `DeviceAllow=/dev/kvm rw`."
    ),
    "wsl": say("Set nestedVirtualization=true in .wslconfig on the Windows side, then run `wsl --shutdown`."),
}
CONTAINER_REMEDY = say(
    "Let whoever runs the container hand it the device /dev/kvm, or run kvmwizard outside of it."
)


def check_device_exists(situation: Situation) -> tuple[CheckResult, ...]:
    """The node alone; it is a link of the chain."""
    return (_exists(situation),)


def check_device_works(situation: Situation) -> tuple[CheckResult, ...]:
    """Opening, version, guest."""
    return _opens(situation), _version(situation), _guest(situation)


def _exists(situation: Situation) -> CheckResult:
    facts = situation.facts
    if situation.broken is Link.DEVICE:
        return _no_device(situation)
    if waits := situation.waits_for(Link.DEVICE, EXISTS):
        return waits
    node = facts.kvm.node
    if isinstance(node, Unknown):
        if evidence.device_answers(facts):
            return EXISTS.passed(say("It is there, since it answers."))
        return EXISTS.unknown(node)
    if node is None:
        return EXISTS.undecided(say("It is not there, though a driver answers by that name."))
    owner = node.owner or str(node.owner_id)
    group = node.group or str(node.group_id)
    return EXISTS.passed(
        say("Mode {mode}, owner {owner}, group {group}.", mode=f"{node.mode:04o}", owner=owner, group=group)
    )


def _no_device(situation: Situation) -> CheckResult:
    name = evidence.container(situation.facts)
    if name:
        return EXISTS.failed(
            say("This is a container ({container}), and it was not given /dev/kvm.", container=name),
            CONTAINER_REMEDIES.get(name, CONTAINER_REMEDY),
            Cause.CONTAINER,
        )
    if situation.facts.distribution.udev_running is True:
        remedy = say("Run `udevadm trigger --name-match=kvm` as root; if it stays away, restart the machine.")
    else:
        remedy = say("Run `mknod /dev/kvm c 10 232` as root: nothing here makes devices by itself.")
    return EXISTS.failed(
        say("The kernel's KVM is there, but the device /dev/kvm is not."), remedy, Cause.NO_DEVICE
    )


def _opens(situation: Situation) -> CheckResult:
    facts = situation.facts
    opened = facts.kvm.opened
    if situation.broken is Link.OPENING:
        return _does_not_open(situation)
    if evidence.device_answers(facts):
        return OPENS.passed(say("It opens for reading and writing."))
    if waits := situation.waits_for(Link.OPENING, OPENS):
        return waits
    if opened is OpenOutcome.NOT_PERMITTED:
        return _not_tried(situation, OPENS)
    if isinstance(opened, Unknown):
        return OPENS.unknown(opened)
    return OPENS.undecided(_error(situation))


def _does_not_open(situation: Situation) -> CheckResult:
    facts = situation.facts
    name = evidence.container(facts)
    if facts.kvm.opened is not OpenOutcome.NOT_PERMITTED:
        return OPENS.failed(
            _error(situation), say("Read what the kernel's log says of it: `dmesg | grep -i kvm`, as root.")
        )
    if name:
        return OPENS.failed(
            say("Its mode allows it, but the container ({container}) refuses the device.", container=name),
            CONTAINER_REMEDIES.get(name, CONTAINER_REMEDY),
            Cause.CONTAINER,
        )
    return OPENS.failed(
        say("Its mode allows it, yet the kernel refused to open it."),
        say("Look for denials by SELinux or AppArmor, or by device rules of the service that this runs in."),
        Cause.PERMISSION,
    )


def _error(situation: Situation) -> Words:
    error = situation.facts.kvm.open_error
    return say("It does not open: {error}.", error=error) if error else say("It does not open.")


def _version(situation: Situation) -> CheckResult:
    version = situation.facts.kvm.api_version
    if situation.broken is Link.VERSION and isinstance(version, int):
        return VERSION.failed(
            say("The kernel speaks version {version}, and programs expect 12.", version=version),
            say("Install the distribution's own kernel and restart."),
            Cause.NO_MODULE,
        )
    if isinstance(version, int):
        return VERSION.passed(say("Version {version}.", version=version))
    if evidence.guest_ran(situation.facts):
        return VERSION.passed(say("A guest ran, so the version is right."))
    if waits := situation.waits_for(Link.VERSION, VERSION):
        return waits
    if situation.facts.kvm.opened is OpenOutcome.NOT_PERMITTED:
        return _not_tried(situation, VERSION)
    return VERSION.unknown(version)


def _guest(situation: Situation) -> CheckResult:
    facts = situation.facts
    guest = facts.kvm.guest
    if situation.broken is Link.GUEST:
        return _guest_failed(situation)
    if not isinstance(guest, Unknown) and guest.ran:
        return _guest_ran(situation)
    if waits := situation.waits_for(Link.GUEST, GUEST):
        return waits
    if not isinstance(guest, Unknown):
        return GUEST.undecided(say("It did not run here."))
    if facts.kvm.opened is OpenOutcome.NOT_PERMITTED:
        return _not_tried(situation, GUEST)
    if guest.unknown is UnknownReason.NOT_SHOWN:
        return GUEST.not_applicable(
            say(
                "There is no trial guest for {architecture}; QEMU will prove it.",
                architecture=facts.processor.architecture,
            )
        )
    return GUEST.unknown(guest)


def _not_tried(situation: Situation, check: Check) -> CheckResult:
    """Who asks, asks for another user, and may not open what that one may."""
    caller = known(situation.facts.users.caller, "?")
    return check.not_applicable(
        say(
            "Not tried: {caller}, who runs this, may not open /dev/kvm. Run it as {user}.",
            caller=caller,
            user=situation.user,
        )
    )


def _guest_ran(situation: Situation) -> CheckResult:
    guest = situation.facts.kvm.guest
    if isinstance(guest, Unknown):
        return GUEST.unknown(guest)
    milliseconds = f"{guest.milliseconds:.1f}"
    return GUEST.passed(
        say(
            "{instructions} instructions, {exits} exits, {milliseconds} ms, run by {user}.",
            instructions=guest.instructions,
            exits=guest.exits,
            milliseconds=milliseconds,
            user=known(situation.facts.users.caller, "?"),
        )
    )


def _guest_failed(situation: Situation) -> CheckResult:
    guest = situation.facts.kvm.guest
    hypervisor = evidence.above(situation.facts)
    if isinstance(guest, Unknown):
        found = say("A trial guest was started and did not end in time.")
    else:
        found = say("A trial guest did not run: {problem}.", problem=guest.problem or "?")
    if hypervisor:
        remedy = say(
            "This system is itself a guest: update the hypervisor above and see to its nested "
            "virtualization; then look at `dmesg | grep -i kvm`, as root."
        )
    else:
        remedy = say("Look at `dmesg | grep -i kvm`, as root; update the firmware and the kernel.")
    return GUEST.failed(found, remedy, Cause.GUEST_FAILED)
