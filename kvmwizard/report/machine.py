"""The secrets of this machine, as its own files and accounts tell them."""

import contextlib
import os
import pwd
import socket
from collections.abc import Iterator
from pathlib import Path

from kvmwizard.host.users import named_callers
from kvmwizard.report.common import common_words, is_common
from kvmwizard.report.secret import Kind, Secret

FIRST_PERSON, NOBODY = 1000, 65534
"""User ids of people lie between (login.defs(5), systemd's UIDS-GIDS)."""
IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"), Path("/sys/class/dmi/id/product_uuid"))
SERIALS = tuple(
    Path("/sys/class/dmi/id", name)
    for name in ("product_serial", "board_serial", "chassis_serial", "board_asset_tag", "chassis_asset_tag")
)
EVERYBODYS_FOLDERS = frozenset(
    {"/", "/root", "/home", "/nonexistent", "/usr", "/var", "/opt", "/srv", "/tmp"}  # noqa: S108  -- nothing is written there
)
SHORTEST_SERIAL = 4


def secrets_of_machine() -> tuple[Secret, ...]:
    """Who and what would be named: the caller's account first, then the other people's, then the machine."""
    return (*_people(), *_hosts(), *_hardware())


def _people() -> Iterator[Secret]:
    callers = named_callers()
    accounts = [account for account in pwd.getpwall() if FIRST_PERSON <= account.pw_uid < NOBODY]
    with contextlib.suppress(KeyError):
        accounts.append(pwd.getpwuid(os.geteuid()))
    accounts.sort(key=lambda account: (account.pw_uid != os.geteuid(), account.pw_name not in callers))
    for account in accounts:
        if account.pw_uid == 0:
            continue
        yield Secret(Kind.USER, account.pw_name)
        real_name = account.pw_gecos.partition(",")[0].strip()
        if not is_common(real_name, common_words()):
            yield Secret(Kind.USER, real_name)
        for folder in {account.pw_dir.rstrip("/"), os.path.realpath(account.pw_dir)}:
            if folder and folder not in EVERYBODYS_FOLDERS:
                yield Secret(Kind.HOME, folder)


def _hosts() -> Iterator[Secret]:
    name = os.uname().nodename
    yield Secret(Kind.HOST, name)
    yield Secret(Kind.HOST, name.partition(".")[0])
    yield Secret(Kind.HOST, socket.gethostname())
    for line in _lines(Path("/etc/resolv.conf")):
        keyword, *names = line.split()
        if keyword in {"search", "domain"}:
            yield from (Secret(Kind.HOST, each.strip(".")) for each in names)
    for line in _lines(Path("/etc/hosts")):
        yield from (
            Secret(Kind.HOST, each) for each in line.partition("#")[0].split()[1:] if "ip6-" not in each
        )


def _hardware() -> Iterator[Secret]:
    for path in IDS:
        yield from (Secret(Kind.ID, line) for line in _lines(path))
    for path in SERIALS:
        for line in _lines(path):
            if (
                len(line) >= SHORTEST_SERIAL
                and not is_common(line, common_words())
                and any(map(str.isdigit, line))
            ):
                yield Secret(Kind.SERIAL, line)


def _lines(path: Path) -> list[str]:
    """The lines of a file that say something; none where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]
