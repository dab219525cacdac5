"""Mirrors that misbehave: each ends in the right retry or the right message, and nothing bad gets a name."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from tests.fetch.downloads import NAME, SIGNATURE, SUMS, TARBALL, Downloads
from tests.mirror.faults import Fault
from tests.mirror.signing import SigningKey


def test_a_good_file_is_kept_with_who_vouches_for_it(downloads: Downloads) -> None:
    stamp = downloads.good()
    assert stamp.about["sha256"] == hashlib.sha256(downloads.original).hexdigest()
    assert stamp.about["bytes"] == len(downloads.original)
    key = downloads.mirror.key.fingerprint
    held = [(proof["kind"], proof["fingerprint"]) for proof in stamp.about["verified_by"]]
    assert held == [("listed-checksum", key), ("detached-signature", key)]
    assert stamp.told["template"] == "{name} is here, signature of {owner} good"


def test_a_file_that_is_here_already_is_verified_and_not_downloaded_again(downloads: Downloads) -> None:
    downloads.good()
    downloads.folder.joinpath(f"{NAME}.stamp").unlink()
    downloads.good()
    assert len(downloads.asked) == 1


def test_a_file_that_is_here_and_wrong_is_downloaded_again(downloads: Downloads) -> None:
    downloads.folder.mkdir()
    downloads.file.write_bytes(b"something else")
    downloads.good()


def test_what_breaks_off_is_gone_on_with(downloads: Downloads) -> None:
    downloads.mirror.fault(TARBALL, Fault("truncate", after=700_000, times=2))
    downloads.good()
    assert [request.range for request in downloads.asked] == [None, "bytes=700000-", "bytes=1400000-"]
    assert [request.status for request in downloads.asked] == [200, 206, 206]


def test_a_mirror_that_always_breaks_off_is_given_up_and_what_came_is_kept(downloads: Downloads) -> None:
    downloads.mirror.fault(TARBALL, Fault("truncate", after=400_000))
    assert "broke off" in downloads.refusal()
    assert downloads.part.stat().st_size == 1_200_000
    downloads.mirror.heal(TARBALL)
    downloads.good()
    assert downloads.asked[-1].range == "bytes=1200000-"


def test_a_stalled_mirror_is_given_up_for_the_next(downloads: Downloads) -> None:
    copy = downloads.mirror.layout.kernels / "elsewhere" / NAME
    copy.parent.mkdir()
    copy.write_bytes(downloads.original)
    original = downloads.mirror.layout.kernels / "v6.x" / NAME
    os.utime(copy, (original.stat().st_atime, original.stat().st_mtime))
    downloads.mirror.fault(TARBALL, Fault("stall", after=900_000))
    second = downloads.url(f"/pub/linux/kernel/elsewhere/{NAME}")
    downloads.good(urls=[downloads.url(TARBALL), second])
    assert len(downloads.asked) == 1
    # Mirrors copy a file with its date, so that the rest may come from another one.
    assert downloads.mirror.requests[-1].range == "bytes=900000-"
    assert downloads.mirror.requests[-1].status == 206


def test_a_stall_of_the_only_mirror_is_said(downloads: Downloads) -> None:
    downloads.mirror.fault(TARBALL, Fault("stall", after=1000))
    assert "127.0.0.1 sent nothing for" in downloads.refusal()


def test_a_file_that_changed_meanwhile_is_downloaded_anew(downloads: Downloads) -> None:
    downloads.mirror.fault(TARBALL, Fault("truncate", after=500_000))
    downloads.refusal()
    downloads.mirror.heal(TARBALL)
    os.utime(downloads.mirror.layout.kernels / "v6.x" / NAME, (1, 1))
    downloads.good()
    assert downloads.asked[-1].range is not None
    assert downloads.asked[-1].status == 200


def test_bytes_that_were_damaged_on_the_disk_are_found_out(downloads: Downloads) -> None:
    downloads.mirror.fault(TARBALL, Fault("truncate", after=500_000))
    downloads.refusal()
    downloads.mirror.heal(TARBALL)
    with downloads.part.open("r+b") as part:
        part.seek(1000)
        part.write(b"damaged")
    downloads.good()
    assert [request.status for request in downloads.asked[-2:]] == [206, 200]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", status=416, times=1),
        Fault("no-range", times=1),
        Fault("wrong-range", times=1),
        Fault("status", status=500, times=1),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_trouble_with_ranges_is_overcome(downloads: Downloads, fault: Fault) -> None:
    downloads.mirror.fault(TARBALL, Fault("truncate", after=600_000, times=1), fault)
    downloads.good()


def test_an_answer_without_a_length_that_is_cut_is_not_taken_for_whole(downloads: Downloads) -> None:
    downloads.mirror.fault(TARBALL, Fault("cut-without-length", after=600_000, times=1))
    downloads.good()
    assert len(downloads.asked) == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault("cut-without-length", after=1000), "is not the file in the list that Release Manager"),
        (Fault("shorter-length", after=1000), "is not the file in the list that Release Manager"),
        (Fault("content", content=b"\xfd7zXZ\0 not it"), "is not the file in the list that Release Manager"),
        (Fault("redirect"), "leads from one address to the next without end"),
        (Fault("status", status=500), "answered 500"),
        (Fault("status", status=416), "answered 416"),
        (Fault("status", status=404), "127.0.0.1 has no"),
        (Fault("html"), "the page of a network that wants you to sign in"),
        (Fault("content", content=b"<html>A page under another type</html>"), "wants you to sign in"),
    ],
    ids=lambda value: value.kind if isinstance(value, Fault) else None,
)
def test_what_cannot_be_overcome_is_said_and_nothing_is_left(
    downloads: Downloads, fault: Fault, said: str
) -> None:
    downloads.mirror.fault(TARBALL, fault)
    assert said in downloads.refusal()
    assert downloads.names == []


def test_a_signature_of_another_file_ends_it(downloads: Downloads, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"other")
    with other.open("rb") as file:
        swapped = downloads.mirror.key.detached(file)
    downloads.mirror.fault(SIGNATURE, Fault("content", content=swapped))
    assert f"{NAME} from 127.0.0.1 is not what Release Manager" in downloads.refusal()
    assert downloads.names == []


def test_a_changed_list_of_sums_ends_it_before_the_download(downloads: Downloads) -> None:
    sums = downloads.mirror.layout.kernels.joinpath("v6.x", "sha256sums.asc").read_bytes()
    changed = sums.replace(b"  linux-", b"  Linux-")
    assert changed != sums
    downloads.mirror.fault(SUMS, Fault("content", content=changed))
    assert "the list of sums there is not what Release Manager" in downloads.refusal(unverified=True)
    assert downloads.asked == []


def test_a_stranger_s_signature_counts_for_nothing(downloads: Downloads, tmp_path: Path) -> None:
    with SigningKey.make() as stranger, (tmp_path / "tar").open("wb+") as tar:
        signature = stranger.detached(tar)
    downloads.mirror.fault(SIGNATURE, Fault("content", content=signature))
    assert stranger.fingerprint[-16:] in downloads.refusal(proofs=[downloads.signed()])
    assert downloads.asked == []
    assert len(downloads.good().about["verified_by"]) == 1


@pytest.mark.parametrize("fault", [Fault("html"), Fault("status", status=404), Fault("status", status=500)])
def test_without_any_proof_nothing_is_downloaded(downloads: Downloads, fault: Fault) -> None:
    downloads.mirror.fault(SUMS, fault)
    downloads.mirror.fault(SIGNATURE, fault)
    assert f"Nothing shows that {NAME} is what was published" in downloads.refusal()
    assert downloads.asked == []


def test_one_proof_that_can_be_had_is_enough(downloads: Downloads) -> None:
    downloads.mirror.fault(SUMS, Fault("html"))
    assert [proof["kind"] for proof in downloads.good().about["verified_by"]] == ["detached-signature"]


def test_what_was_agreed_to_is_taken_unverified_but_never_half(downloads: Downloads) -> None:
    downloads.mirror.fault(TARBALL, Fault("cut-without-length", after=1_000_000))
    assert "it cannot be decompressed" in downloads.refusal(proofs=[], unverified=True)
    downloads.mirror.heal(TARBALL)
    assert downloads.good(proofs=[], unverified=True).about["verified_by"] == []


def test_what_is_published_beforehand_must_hold_too(downloads: Downloads) -> None:
    published = {"kind": "published-checksum", "sha256": "0" * 64}
    assert "is not the file that was published" in downloads.refusal(proofs=[downloads.listed(), published])


def test_a_person_s_own_tarball_is_verified_the_same_way(downloads: Downloads) -> None:
    series = downloads.mirror.layout.kernels / "v6.x"
    local = [(series / NAME).as_uri()]
    signature = (series / "linux-6.1.9.tar.sign").as_uri()
    stamp = downloads.good(urls=local, proofs=[downloads.signed(signature)])
    assert [proof["kind"] for proof in stamp.about["verified_by"]] == ["detached-signature"]
    downloads.file.unlink()
    downloads.folder.joinpath(f"{NAME}.stamp").unlink()
    assert "Nothing shows" in downloads.refusal(urls=local, proofs=[downloads.signed(signature + ".gone")])


def test_a_link_under_the_file_s_name_is_not_followed(downloads: Downloads, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_bytes(b"mine")
    downloads.folder.mkdir()
    downloads.part.symlink_to(precious)
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        downloads.run()
    assert precious.read_bytes() == b"mine"


def test_a_file_that_could_not_be_synced_is_downloaded_anew(
    downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = os.fsync

    def failing(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".part":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(OSError, match="Input/output error"):
        downloads.run()
    assert not downloads.part.exists()
    monkeypatch.undo()
    downloads.good()
    assert [request.range for request in downloads.asked] == [None, None]
