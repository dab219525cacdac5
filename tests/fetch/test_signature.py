"""Signatures: kernel.org's own list of sums with its real key, and everything that is not quite right."""

import lzma
from pathlib import Path

import pytest

from kvmwizard.fetch.keyring import MalformedArmourError, dearmoured
from kvmwizard.fetch.refused import FetchRefused
from kvmwizard.fetch.signature import Outcome, check_file, check_text, judge
from kvmwizard.fetch.wishes import Key
from kvmwizard.resources import asset_path
from tests.mirror.signing import SigningKey

AUTOSIGNER = Key("B8868C80BA62A1FFFAF5FDA9632D3A06589DA6B1", asset_path("keys/autosigner.asc"))
GREG = Key("647F28654894E3BD457199BE38DBBDC86092693E", asset_path("keys/greg-kroah-hartman.asc"))
SHIPPED = {
    "autosigner": "B8868C80BA62A1FFFAF5FDA9632D3A06589DA6B1",
    "greg-kroah-hartman": "647F28654894E3BD457199BE38DBBDC86092693E",
    "linus-torvalds": "ABAF11C65A2970B130ABE3C479BE3E4300411886",
    "sasha-levin": "E27E5D8A3403A2EF66873BBCDEA66FF797772CDC",
    "ben-hutchings": "AC2B29BD34A6AFDDB3F68F35E7BFC8EC95861109",
    "michael-roth": "CEACC9E15534EBABB82D3FA03353C9CEF108B584",
}


@pytest.fixture(scope="module")
def kernel_sums() -> bytes:
    """pub/linux/kernel/v4.x/sha256sums.asc of 1 February 2017, as kernel.org signed it."""
    packed = Path(__file__).with_name("data") / "sha256sums.asc.xz"
    return lzma.decompress(packed.read_bytes())


@pytest.fixture
def own(signing_key: SigningKey) -> Key:
    return Key(signing_key.fingerprint, signing_key.public)


def test_kernel_org_s_list_is_good_with_kernel_org_s_key(kernel_sums: bytes) -> None:
    signed = check_text(kernel_sums, (AUTOSIGNER,))
    assert signed.checked.outcome is Outcome.GOOD
    assert signed.checked.fingerprint == AUTOSIGNER.fingerprint
    assert signed.checked.owner == "Kernel.org checksum autosigner <autosigner@kernel.org>"
    digest = b"48171714923f52b03e667011426cb62089fd3df9eb4be1227b781188d680c408"
    assert digest + b"  linux-4.8.5.tar.xz" in signed.text.splitlines()


@pytest.mark.parametrize("place", [60, 5000, 40_000, 67_000])
def test_one_flipped_bit_makes_it_bad(kernel_sums: bytes, place: int) -> None:
    changed = bytearray(kernel_sums)
    changed[place] ^= 1
    signed = check_text(bytes(changed), (AUTOSIGNER,))
    assert signed.checked.outcome is Outcome.BAD
    assert signed.text == b""


def test_another_key_cannot_tell(kernel_sums: bytes) -> None:
    signed = check_text(kernel_sums, (GREG,))
    assert signed.checked.outcome is Outcome.UNKNOWN
    assert signed.checked.fingerprint == AUTOSIGNER.fingerprint[-16:]
    assert signed.text == b""


def test_only_the_pinned_fingerprint_counts_whatever_else_is_in_the_file(kernel_sums: bytes) -> None:
    pinned_another = Key(GREG.fingerprint, AUTOSIGNER.path)
    assert check_text(kernel_sums, (pinned_another,)).checked.outcome is Outcome.UNKNOWN


def test_what_stands_around_the_signed_text_is_not_in_it(kernel_sums: bytes) -> None:
    line = b"0" * 64 + b"  linux-4.8.5.tar.xz\n"
    signed = check_text(line + kernel_sums + line, (AUTOSIGNER,))
    assert line.strip() not in signed.text.splitlines()


@pytest.mark.parametrize("stranger_first", [True, False])
def test_a_second_text_beside_the_signed_one_spoils_it(
    kernel_sums: bytes, tmp_path: Path, stranger_first: bool
) -> None:
    forged = tmp_path / "forged"
    forged.write_bytes(b"0" * 64 + b"  linux-4.8.5.tar.xz\n")
    with SigningKey.make() as stranger:
        block = stranger.clearsigned(forged)
    both = block + kernel_sums if stranger_first else kernel_sums + block
    signed = check_text(both, (AUTOSIGNER,))
    assert forged.read_bytes().strip() not in signed.text.splitlines()


@pytest.mark.parametrize("content", [b"", b"<html></html>", b"\x89", b"-----BEGIN PGP SIGNATURE-----\n"])
def test_what_is_no_signature_is_none(content: bytes, own: Key, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    assert check_file(content, file, (own,)).outcome is Outcome.NONE


def test_a_signature_is_over_all_of_its_file(own: Key, signing_key: SigningKey, tmp_path: Path) -> None:
    file = tmp_path / "-leading dash $(and) more"
    file.write_bytes(b"content")
    with file.open("rb") as content:
        signature = signing_key.detached(content, armour=False)
    assert check_file(signature, file, (own,)).outcome is Outcome.GOOD
    file.write_bytes(b"conten")
    assert check_file(signature, file, (own,)).outcome is Outcome.BAD


VALID = "[GNUPG:] VALIDSIG {key} 2016-10-28 {made} 0 4 0 1 8 00 {key}\n"


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("[GNUPG:] NEWSIG\n[GNUPG:] KEYEXPIRED 200\n[GNUPG:] EXPKEYSIG 1 A\n" + VALID, Outcome.GOOD),
        ("[GNUPG:] NEWSIG\n[GNUPG:] KEYEXPIRED 50\n[GNUPG:] EXPKEYSIG 1 A\n" + VALID, Outcome.UNKNOWN),
        ("[GNUPG:] NEWSIG\n[GNUPG:] EXPKEYSIG 1 A\n" + VALID, Outcome.UNKNOWN),
        ("[GNUPG:] NEWSIG\n[GNUPG:] REVKEYSIG 1 A\n" + VALID, Outcome.BAD),
        ("[GNUPG:] NEWSIG\n[GNUPG:] EXPSIG 1 A\n" + VALID, Outcome.BAD),
        ("[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 1 A\n" + VALID, Outcome.GOOD),
        ("[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 1 A\n", Outcome.NONE),
        ("GOODSIG 1 A\n" + VALID.removeprefix("[GNUPG:] "), Outcome.NONE),
        (
            "[GNUPG:] NEWSIG\n[GNUPG:] GOODSIG 1 A\n" + VALID + "[GNUPG:] NEWSIG\n[GNUPG:] BADSIG 1 A\n",
            Outcome.BAD,
        ),
    ],
)
def test_what_gpgv_says_is_read_strictly(status: str, outcome: Outcome) -> None:
    said = status.format(key=AUTOSIGNER.fingerprint, made=100)
    assert judge(said, (AUTOSIGNER,)).outcome is outcome


@pytest.mark.parametrize(("name", "fingerprint"), SHIPPED.items())
def test_the_shipped_keys_are_the_ones_they_are_called(
    name: str, fingerprint: str, signing_key: SigningKey
) -> None:
    assert fingerprint in signing_key.fingerprints_in(asset_path(f"keys/{name}.asc"))


def test_all_shipped_keys_are_known_here() -> None:
    assert {path.stem for path in asset_path("keys").iterdir()} == SHIPPED.keys()


def test_armour_is_taken_off_as_gpg_does_it(signing_key: SigningKey) -> None:
    armoured = signing_key.public.read_bytes()
    assert dearmoured(armoured) == signing_key.exported
    assert dearmoured(b"Some words before\n" + armoured * 2) == signing_key.exported * 2
    assert dearmoured(signing_key.exported) == signing_key.exported


@pytest.mark.parametrize("cut", [100, -10])
def test_a_key_that_is_cut_short_is_refused(signing_key: SigningKey, tmp_path: Path, cut: int) -> None:
    content = signing_key.public.read_bytes()[:cut]
    with pytest.raises(MalformedArmourError):
        dearmoured(content)
    path = tmp_path / "key.asc"
    path.write_bytes(content)
    with pytest.raises(FetchRefused, match="no whole public key"):
        check_text(b"", (Key(signing_key.fingerprint, path),))


def test_a_key_that_is_missing_is_named(tmp_path: Path) -> None:
    path = tmp_path / "key.asc"
    with pytest.raises(FetchRefused, match=f"The public key {path} cannot be read: No such file"):
        check_text(b"", (Key("A" * 40, path),))
