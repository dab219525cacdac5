"""The Proof page on a machine without QEMU: it says what to do in the wizard that is open."""

from pathlib import Path

import pytest

from kvmwizard.checks.results import Outcome
from kvmwizard.proof.model import ProofLevel
from kvmwizard.words import say
from screens.proof import ProofPage
from tests.screens.pilots import walking
from tests.screens.test_failure import shows
from tests.screens.test_run_pages import END, add_run, done, started

TINY = ProofLevel(
    id="tiny-guest",
    title=say("Guest through /dev/kvm"),
    outcome=Outcome.PASS,
    found=say("It ran."),
    remedy=say("Nothing about QEMU."),
)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_without_a_qemu_it_leads_back_to_the_pages_that_bring_one(
    state_directory: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.setattr("screens.proof.chosen_qemu", lambda *_: None)
    monkeypatch.setattr("kvmwizard.proof.prove.tiny_guest_level", lambda *_: TINY)
    add_run(state_directory, (started("lists"), done("lists"), started("guest"), done("guest"), END))
    async with walking(state_directory, size=size) as walk:
        await shows(walk, "Prove it")
        await walk.pilot.press("enter")
        shown = await shows(walk, "Finish", "Press Esc until you are at the Review page")
        assert "← Back" in shown
        page = walk.page
        assert isinstance(page, ProofPage)
        told = {entry.id: " ".join(part.text for part in entry.explanation) for entry in walk.entries.entries}
        assert "Nothing about QEMU." in told["tiny-guest"]
        for level in ("qemu-without-kvm", "qemu-with-kvm", "query-kvm"):
            assert "QEMU page" in told[level]
            assert "Run kvmwizard" not in told[level]
        await walk.pilot.press("escape")
        await shows(walk, "Every step is done")
        await walk.pilot.press("escape")
        await shows(walk, "Carry out")
        assert walk.place == "review"
