"""Who a program runs as: the ids and groups that an account has at its next login."""

import os
import pwd
from dataclasses import dataclass


@dataclass(frozen=True)
class Identity:
    """An account's stored ids, as initgroups(3) would set them."""

    name: str
    user_id: int
    group_id: int
    group_ids: tuple[int, ...]
    home: str


def stored_identity(name: str) -> Identity | None:
    """The account's ids from the user and group databases; None where there is no such account."""
    try:
        account = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = os.getgrouplist(account.pw_name, account.pw_gid)
    return Identity(
        name=account.pw_name,
        user_id=account.pw_uid,
        group_id=account.pw_gid,
        group_ids=tuple(sorted(groups)),
        home=account.pw_dir,
    )
