"""People on this machine, and the groups they have now and at their next login."""

from kvmwizard.host.reading import FactModel, Reading


class UserFacts(FactModel):
    """One account that a person logs in with (or root)."""

    name: str
    id: int
    group_id: int
    groups: tuple[str, ...]
    """Stored: the groups a new login would have, its own group included."""


class UsersFacts(FactModel):
    """Accounts and the caller."""

    caller: Reading[str]
    """Who runs this process."""
    effective_groups: Reading[tuple[int, ...]]
    """The group ids this process really has."""
    sudo_caller: str | None
    """SUDO_USER (or DOAS_USER), where the caller came by it and the account exists."""
    accounts: Reading[tuple[UserFacts, ...]]
    """root, and every account with a login shell and an id of UID_MIN or above (login.defs(5))."""
    kvm_group: Reading[str | None]
    """The group that owns /dev/kvm if it is not root's, else a group named kvm, else None."""
    kvm_group_id: Reading[int | None]
    sudo: Reading[str | None]
    """The path of sudo; None where there is none."""

    @property
    def person(self) -> str | None:
        """The user that guests are for: who called sudo, else the caller."""
        return self.sudo_caller or (self.caller if isinstance(self.caller, str) else None)

    def account(self, name: str) -> UserFacts | None:
        """The account of that name, where it is known."""
        if not isinstance(self.accounts, tuple):
            return None
        return next((account for account in self.accounts if account.name == name), None)
