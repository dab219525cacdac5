"""Where things are built if nobody says otherwise. Pure."""

from kvmwizard.answers import Answers
from kvmwizard.catalog.chosen import chosen_kernel, chosen_qemu
from kvmwizard.host.facts import Facts

ROOTS_BUILD_FOLDER = "/var/cache/kvmwizard/build"
"""root's own home is closed to whoever builds for root (hier(7) on /var/cache)."""


def called_by_root(facts: Facts) -> bool:
    """Whether kvmwizard itself runs as root, by sudo or not."""
    caller = facts.users.caller
    if not isinstance(caller, str):
        return False
    account = facts.users.account(caller)
    return caller == "root" if account is None else account.id == 0


def usual_build_folder(facts: Facts) -> str:
    """The folder that is proposed."""
    return ROOTS_BUILD_FOLDER if called_by_root(facts) else facts.disk.build_directory


def chosen_folders(answers: Answers) -> dict[str, str]:
    """The folders that were chosen for what is built, by page; one that was chosen for one serves both."""
    builds = {"kernel_build": chosen_kernel(answers), "qemu_build": chosen_qemu(answers)}
    return {
        page: chosen.build.folder.rstrip("/") or "/"
        for page, chosen in builds.items()
        if chosen is not None and chosen.build.folder is not None
    }
