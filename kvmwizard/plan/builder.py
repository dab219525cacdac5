"""Who builds: never root."""

from kvmwizard.answers import AccessAnswer
from kvmwizard.catalog.build_folder import called_by_root
from kvmwizard.host.facts import Facts

NOBODYS_NUMBER = 61183
"""A user id that belongs to no account: below systemd's range for dynamic users, 61184 to 65519
(Users, Groups, UIDs and GIDs on systemd Systems).
"""


def builder_for(facts: Facts, access: AccessAnswer) -> str | None:
    """Who builds, as `Plan.builder` has it.

    None where the person who runs kvmwizard builds. For root it is whoever called
    sudo, else the user whom the host is for, else a number without an account.
    """
    if not called_by_root(facts):
        return None
    if facts.users.sudo_caller is not None:
        return facts.users.sudo_caller
    account = facts.users.account(access.user)
    is_root = access.user == "root" or (account is not None and account.id == 0)
    return str(NOBODYS_NUMBER) if is_root else access.user
