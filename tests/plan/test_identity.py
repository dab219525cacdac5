from kvmwizard.plan.build_model import (
    BuildAction,
    CompileKernel,
    ConfigureQemu,
    DetachedSignature,
    DownloadSource,
    TrustedKey,
    UnpackSource,
)
from kvmwizard.plan.identity import UNKNOWN_IDENTITY, asset_digests, identified, identity_of

KEY = TrustedKey(fingerprint="A" * 40, file="keys/one.asc")


def a_download(**changes: object) -> DownloadSource:
    proof = DetachedSignature(urls=("https://one/x.sig",), over="file", keys=(KEY,))
    action = DownloadSource(
        identity=UNKNOWN_IDENTITY,
        stamp="/b/x.stamp",
        project="qemu",
        version="10.1.0",
        urls=("https://one/x", "https://two/x"),
        path="/b/x",
        proofs=(proof,),
    )
    return action.model_copy(update=changes)


def same(one: BuildAction, other: BuildAction) -> bool:
    return identity_of(one) == identity_of(other)


def test_where_it_lies_and_whence_it_comes_do_not_count() -> None:
    elsewhere = DetachedSignature(urls=("http://mirror/x.sig",), over="file", keys=(KEY,))
    assert same(a_download(), a_download(urls=("http://mirror/x",), path="/c/x", stamp="/c/x.stamp"))
    assert same(a_download(), a_download(proofs=(elsewhere,)))


def test_whose_word_counts_and_what_was_allowed_do() -> None:
    other = DetachedSignature(urls=(), over="file", keys=(KEY.model_copy(update={"fingerprint": "B" * 40}),))
    assert not same(a_download(), a_download(proofs=(other,)))
    assert not same(a_download(), a_download(unverified=True))
    assert not same(a_download(), a_download(version="10.1.1"))


def test_jobs_do_not_count_and_variables_do() -> None:
    action = CompileKernel(
        identity=UNKNOWN_IDENTITY, stamp="s", tree="t", build="b", release="6.1.0", jobs=4, totals="n"
    )
    assert same(action, action.model_copy(update={"jobs": 8, "build": "c"}))
    assert not same(action, action.model_copy(update={"make_variables": {"KCFLAGS": "-O3"}}))


def test_what_it_is_made_from_counts_in_its_order() -> None:
    action = ConfigureQemu(identity=UNKNOWN_IDENTITY, stamp="s", tree="t", build="b", flags=())
    assert identity_of(action, ("a", "b")) != identity_of(action, ("b", "a"))
    assert identity_of(action, ("ab",)) != identity_of(action, ("a", "b"))


def test_kinds_do_not_meet() -> None:
    unpack = UnpackSource(identity=UNKNOWN_IDENTITY, stamp="s", archive="a", tree="t")
    configure = ConfigureQemu(identity=UNKNOWN_IDENTITY, stamp="s", tree="t", build="b", flags=())
    assert identity_of(unpack) != identity_of(configure)


def test_its_own_identity_is_the_same_computed_again() -> None:
    once = identified(a_download(), ("made",))
    assert once.identity != UNKNOWN_IDENTITY
    assert identified(once, ("made",)) == once


def test_our_own_patches_count_by_their_content() -> None:
    patch, shim = asset_digests(("patches/linux-plt32.patch", "shims/memfd"))
    assert patch != shim
    assert len(patch) == len(shim) == 64
