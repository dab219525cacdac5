import os
import pwd

import pytest

from kvmwizard.host.identity import stored_identity
from tests.proof.contexts import Watched


def test_by_default_it_is_for_the_caller() -> None:
    context = Watched().context()
    assert context.user == pwd.getpwuid(os.geteuid()).pw_name
    assert context.identity is None
    assert context.refusal is None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_root_becomes_the_user() -> None:
    context = Watched().context("nobody")
    assert context.identity == stored_identity("nobody")
    assert context.refusal is None


def test_nobody_else_can(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    monkeypatch.setattr(os, "geteuid", lambda: nobody)
    context = Watched().context("root")
    assert context.identity is None
    assert context.refusal is not None
    assert context.refusal_remedy is not None
    assert context.refusal.english == "Not tried: only root can run a guest as root, and this is nobody."
    assert context.refusal_remedy.english == "Log in as root and run: kvmwizard verify"


def test_an_account_that_does_not_exist_is_told() -> None:
    context = Watched().context("no-such-account")
    assert context.identity is None
    assert context.refusal is not None
    assert context.refusal.english == "There is no account named no-such-account on this machine."


def test_a_caller_without_an_account_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 3_999_999_999)
    context = Watched().context()
    assert context.user == "3999999999"
    assert context.refusal is None
