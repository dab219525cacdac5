"""What a report takes out, whatever the names are, and what it leaves readable."""

import ipaddress
import json
import re
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvmwizard.report.common import common_words, is_common, shipped_hosts
from kvmwizard.report.redaction import Redactor
from kvmwizard.report.secret import Kind, Secret
from kvmwizard.words import say

PLACEHOLDER = re.compile(r"\[[a-z]+-\d+\]")
ORDINARY = (
    "The root helper installs a kernel for KVM: /dev/kvm has mode 0660 and belongs to the group kvm. "
    "Compiling net/ipv4/tcp_input.o (61%) as root; make -j4 V=1 CC=gcc. Linux 6.12.104, QEMU 10.1.0, "
    "1:7.2+dfsg-7+deb12u18, at 12:34:56, PCI 0000:00:1f.2, std::cout, 127.0.0.1, ::1, "
    "https://cdn.kernel.org/pub/linux/kernel/v6.x/linux-6.12.104.tar.xz"
)
"""Nothing of this names anybody."""


def redactor(*known: Secret, texts: tuple[str, ...] = ()) -> Redactor:
    made = Redactor(known, common_words())
    for text in texts:
        made.learn(text)
    return made


def users(*names: str) -> list[Secret]:
    return [Secret(Kind.USER, name) for name in names]


def taken_out(text: str, *known: Secret) -> str:
    return redactor(*known, texts=(text,)).text(text)


@pytest.mark.parametrize("name", ["root", "kvm", "a", "the", "make", "linux", "1000", "qemu", "x", "in"])
def test_a_user_with_a_common_name_leaves_the_report_readable(name: str) -> None:
    assert taken_out(ORDINARY, *users(name), Secret(Kind.HOST, name)) == ORDINARY


@pytest.mark.parametrize("name", ["kvm", "a", "make", "linux", "x"])
@pytest.mark.parametrize(
    "text",
    ["user {}", "USER={}", 'user "{}" is', "password for {}: ", "{}@example", "uid=1001({}) gid", "~{}/x"],
)
def test_such_a_name_is_taken_out_where_a_user_is_meant(name: str, text: str) -> None:
    found = taken_out(text.format(name), *users(name))
    assert found == text.format("[user-1]")


@pytest.mark.parametrize("name", ["kvm", "a", "ed", "alice", "x+y", "müller"])
def test_a_field_that_holds_a_user_is_taken_out_and_the_words_around_are_not(name: str) -> None:
    value = {
        "user": name,
        "step": "a",
        "words": say("Let {user} use a {device}", user=name, device="/dev/kvm"),
        "template": {"places": {"user": name}},
    }
    made = redactor(*users(name))
    made.learn(value)
    found = made.value(value)
    assert found["user"] == found["template"]["places"]["user"] == "[user-1]"
    assert found["words"] == "Let [user-1] use a /dev/kvm"


def test_root_is_everybody_s() -> None:
    value = {"user": "root", "caller": "root", "members": ["root", "alice"]}
    made = redactor()
    made.learn(value)
    assert made.value(value) == {"user": "root", "caller": "root", "members": ["root", "[user-1]"]}


@pytest.mark.parametrize(
    "name", ["a.b", "x+y", "(", "[a-z]", "a|b", "^$", "DOM\\user", ".*", "al*ce", "\\d+"]
)
def test_a_name_with_a_pattern_s_characters_means_itself(name: str) -> None:
    found = taken_out(f"{ORDINARY} for «{name}».", *users(name))
    assert found.startswith(ORDINARY)
    if not is_common(name, common_words()):
        assert found == f"{ORDINARY} for «[user-1]»."


@pytest.mark.parametrize("text", [":{}:", "{}:{}:10:{}", "x-{}://h", "{}:::{}"])
def test_a_name_among_colons_is_no_address(text: str) -> None:
    assert "ada" not in taken_out(text.replace("{}", "ada"), *users("ada"))


def test_the_same_name_is_the_same_placeholder_in_every_text() -> None:
    made = redactor(*users("alice", "berta"))
    assert made.text("berta, Alice") == "[user-1], [user-2]"
    assert made.text("alice_x berta2 malice") == "[user-2]_x berta2 malice"
    assert made.taken() == {Kind.USER: 3}
    assert not made.taken()


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("http://bob:s3cr3t@mirror.inner/x", "http://[credentials-1]@[host-1]/x"),
        ("http://bob:p@ss@mirror.inner/x", "http://[credentials-1]@[host-1]/x"),
        ("http://bob:pa/ss@mirror.inner/x", "http://[credentials-1]@[host-1]/x"),
        ("http_proxy=bob:s3cr3t@proxy", "http_proxy=[credentials-1]@proxy"),
        ("10.1.2.3:80, fe80::1%eth0 [fd00::5]:443", "[address-1]:80, [address-2]%eth0 [[address-3]]:443"),
        ("inet6 addr:fe80::1.", "inet6 addr:[address-1]."),
        ("from 10.1.2.3.", "from [address-1]."),
        ("::ffff:10.1.2.3", "[address-1]"),
        ("52:54:00:12:34:56 52-54-00-12-34-57", "[mac-1] [mac-2]"),
        ("root=UUID=0b7c1d4e-93ca-11d2-aa0d-00e098032b8c", "root=UUID=[id-1]"),
        ("root=PARTUUID=1234abcd-01", "root=PARTUUID=[id-1]"),
        ("/boot/" + "0123456789abcdef" * 2 + "/linux", "/boot/[id-1]/linux"),
        ("usb 1-1: SerialNumber: 4C530001", "usb 1-1: SerialNumber: [serial-1]"),
        ("/dev/disk/by-id/nvme-Disk_S4EWNX", "/dev/disk/by-id/[serial-1]"),
        ("Could not resolve 'deb.inner.lan'", "Could not resolve '[host-1]'"),
        ("/home/berta/x, berta's", "[home-1]/x, [user-1]'s"),
    ],
)
def test_what_nobody_could_list_is_found_by_its_form(text: str, left: str) -> None:
    assert taken_out(text) == left


@pytest.mark.parametrize(
    "text",
    [
        ORDINARY,
        "sha256 " + "0123456789abcdef" * 4,
        "9.8.7.6.5 and 300.1.2.3",
        "Key AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD",
        "Serial: 8250/16550 driver, -serial mon:stdio",
        "255.255.255.0 0.0.0.0",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert taken_out(text) == text


def test_a_password_is_taken_out_elsewhere_too() -> None:
    made = redactor(texts=("http://bob:s3cr%33t-pw@mirror.inner/x",))
    assert "s3cr" not in made.text("login failed: s3cr3t-pw; s3cr%33t-pw")


def test_json_in_json_is_looked_into() -> None:
    value = {"before": [json.dumps({"user": "ed", "path": "/home/ed/x"})]}
    made = redactor()
    made.learn(value)
    assert json.loads(made.value(value)["before"][0]) == {"user": "[user-1]", "path": "[home-1]/x"}


def test_a_host_with_its_domain_is_taken_out_whole() -> None:
    made = redactor(Secret(Kind.HOST, "build-01"), Secret(Kind.HOST, "corp.lan"))
    assert made.text("build-01, build-01.corp.lan and db.corp.lan.") == "[host-1], [host-2] and [host-3]."


NAMES = st.text(
    st.characters(categories=("L", "N"), include_characters="-_.+@$ \\()[]*?'", max_codepoint=0x2FFF),
    min_size=1,
    max_size=24,
)
SURROUNDINGS = st.sampled_from([" ", "/", ":", "'", '"', "=", ", ", "@", "(", ")", "\n", ".", "-", "_"])


def stands_in(secret: str, text: str) -> bool:
    """Whether the secret stands somewhere by itself, in any case; placeholders do not count."""
    rest = PLACEHOLDER.sub("\0", text).casefold()
    for found in re.finditer(re.escape(secret.casefold()), rest):
        before, after = rest[: found.start()][-1:], rest[found.end() :][:1]
        inside = (before.isalnum() and secret[0].isalnum()) or (after.isalnum() and secret[-1].isalnum())
        if not inside:
            return True
    return False


@settings(max_examples=300, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=4), st.lists(SURROUNDINGS, min_size=10, max_size=10))
def test_no_known_name_is_left_anywhere(names: list[str], around: list[str]) -> None:
    known = [name.strip() for name in names if name.strip() and not is_common(name.strip(), common_words())]
    made = redactor(*users(*known))
    pieces = [f"{sign}{name}{sign}" for name in known for sign in around]
    value = {"text": " and ".join(pieces), "list": pieces, "words": say("{it}", it=" ".join(pieces))}
    made.learn(value)
    for left in (json.dumps(made.value(value), ensure_ascii=False), made.text("".join(pieces))):
        for name in known:
            if not any(name != other and name.casefold() in other.casefold() for other in known):
                assert not stands_in(name, left), (name, left)


@settings(max_examples=200, deadline=None)
@given(st.ip_addresses(), SURROUNDINGS.filter(lambda sign: sign not in {":", ".", "-", "_"}))
def test_no_address_is_left(address: ipaddress.IPv4Address | ipaddress.IPv6Address, sign: str) -> None:
    if address.is_loopback or address.is_unspecified or str(address).startswith("255."):
        return
    for form in {str(address), address.exploded, str(address).upper()}:
        assert form not in taken_out(f"to{sign}{form}{sign}port 80, {form}."), form


@settings(max_examples=200, deadline=None)
@given(
    st.text(string.ascii_letters + string.digits + "._~!$&*+,;=%-", min_size=1, max_size=12),
    st.text(string.ascii_letters + string.digits + "._~!$&*+,;=%-@:/", min_size=3, max_size=20),
)
def test_no_login_is_left_in_an_address(user: str, password: str) -> None:
    left = taken_out(f"Fetching http://{user}:{password}@cdn.kernel.org/pub: 404")
    assert left == "Fetching http://[credentials-1]@cdn.kernel.org/pub: 404"


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_whatever_a_text_says_it_is_no_fault(text: str) -> None:
    taken_out(text, *users("alice", text[:10] or "x"))


def test_the_servers_that_everybody_has_name_nobody() -> None:
    assert "mirrors.tuna.tsinghua.edu.cn" in shipped_hosts()
    text = " ".join(f"https://{host}/linux" for host in sorted(shipped_hosts()))
    made = Redactor((), common_words(), shipped_hosts())
    made.learn(text)
    assert made.text(text) == text
