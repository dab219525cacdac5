"""What every level of a proof is given: whom it runs as, whom it tells, who can stop it."""

import os
import pwd
import threading
from collections.abc import Callable
from dataclasses import dataclass

from kvmwizard.host.identity import Identity, stored_identity
from kvmwizard.words import Words, say


@dataclass(frozen=True)
class ProofContext:
    """How the levels of one proof are to be carried out."""

    user: str
    identity: Identity | None
    """The account to run as; None for the account that runs this process."""
    refusal: Words | None
    """Why nothing can be run as `user`; None where it can."""
    refusal_remedy: Words | None
    on_progress: Callable[[Words], None]
    cancelled: threading.Event


def proof_context(
    user: str | None, on_progress: Callable[[Words], None], cancelled: threading.Event | None
) -> ProofContext:
    """Find out how to run as `user`: directly as oneself, by changing ids as root, or not at all."""
    caller_id = os.geteuid()
    name = user or _account_name(caller_id)
    identity = stored_identity(name)
    refusal = remedy = None
    if identity is not None and identity.user_id == caller_id:
        identity = None
    elif identity is None and user is not None:
        refusal = say("There is no account named {user} on this machine.", user=name)
        remedy = say("Give the name of an account that exists: kvmwizard verify --user NAME.")
    elif identity is not None and caller_id != 0:
        refusal = say(
            "Not tried: only root can run a guest as {user}, and this is {caller}.",
            user=name,
            caller=_account_name(caller_id),
        )
        remedy = say("Log in as {user} and run: kvmwizard verify", user=name)
    return ProofContext(
        user=name,
        identity=None if refusal is not None else identity,
        refusal=refusal,
        refusal_remedy=remedy,
        on_progress=on_progress,
        cancelled=cancelled or threading.Event(),
    )


def _account_name(user_id: int) -> str:
    """The account's name; its number where the user database does not know it."""
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:
        return str(user_id)
