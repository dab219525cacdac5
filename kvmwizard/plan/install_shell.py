"""What puts a built tree in place, in shell: lines for root."""

from kvmwizard.plan.build_model import InstallTree, RemoveTree, SetNextBoot
from kvmwizard.plan.shell_words import Lines, line, parent, quoted

LISTS = "/var/lib/kvmwizard/installed"


def install_tree(action: InstallTree) -> Lines:
    """The staged files, owned by root, and what the distribution does for a new kernel."""
    stage = f"{parent(action.payload)}/stage"
    copy = ("cp", "-R", "--no-preserve=all", "--", f"{stage}/.", "/")
    if action.release is None:
        return (line(*copy),)
    image = f"/boot/vmlinuz-{action.release}"
    return (
        line(*copy),
        line("depmod", action.release),
        line(
            "run-parts",
            "--exit-on-error",
            f"--arg={action.release}",
            f"--arg={image}",
            "/etc/kernel/postinst.d",
        ),
    )


def remove_tree(action: RemoveTree) -> Lines:
    """All that root's list of it names."""
    listed = quoted(f"{LISTS}/{action.name}.json")
    return (f"python3 -I -c 'import json, sys' {listed}",)


def set_next_boot(action: SetNextBoot) -> Lines:
    """GRUB's menu entries, chosen by their ids."""
    return (line("grub-reboot", action.release),)
