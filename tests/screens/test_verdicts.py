import re

import pytest

from kvmwizard.catalog.sources import Project, sources_for
from screens.listing import Form
from screens.verdicts import key_parts
from tests.screens.listings import version

MICHAEL_ROTH = "CEACC9E15534EBABB82D3FA03353C9CEF108B584"


@pytest.mark.parametrize(
    ("project", "form", "entry", "said"),
    [
        ("qemu", "git", "2.7.0", "Commit 1dc33ed90bf1fe1c2014dffa0d9e863c520d953a, as published"),
        ("qemu", "git", "10.1.0", f"Key .* {MICHAEL_ROTH}"),
        ("qemu", "release", "2.7.0", f"Key .* {MICHAEL_ROTH}"),
        ("linux", "release", "6.19-rc3", "Key None: nobody signs"),
    ],
)
def test_what_proves_a_version_is_said(project: Project, form: Form, entry: str, said: str) -> None:
    parts = key_parts(sources_for(project, None), form, version(entry))
    assert any(re.search(said, f"{part.label} {part.text}") for part in parts)
