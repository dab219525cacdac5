"""How secrets look that nobody can list beforehand: addresses, ids, serial numbers, logins. Pure."""

import ipaddress
import re

FREE_HOSTS = (
    *("kernel.org", "qemu.org", "debian.org", "ubuntu.com", "fedoraproject.org", "redhat.com", "centos.org"),
    *("opensuse.org", "suse.com", "archlinux.org", "alpinelinux.org", "github.com", "gitlab.com", "gnu.org"),
    *("freedesktop.org", "launchpad.net", "googlesource.com", "denx.de", "localhost"),
)
"""Everybody's, so that they name nobody: sources and distributions, with all below them."""
LONGEST_ADDRESS_GROUPS = 8
"""Of an IPv6 address (RFC 4291, 2.2); what has more, as a key's fingerprint, is none."""

URL_LOGIN = r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)(?P<login>[^\s/:@\"'<>]*:[^\s\"'<>]*|[^\s/?#\"'<>]*)@"
"""RFC 3986, 3.2.1; a password with a slash or an @ in it, too, which is wrong and yet written."""
BARE_LOGIN = r"(?P<bare>(?<![\w/.])[\w.%+-]+:[^\s:@/\"'<>]+(?=@[\w\[]))"
"""As in a proxy's setting without `http://`."""
URL_HOST = re.compile(r"\b[A-Za-z][A-Za-z0-9+.-]*://(?:[^\s\"'<>]*@)?(?P<host>[^\s/?#:@\"'<>\[\],;)]+)")
SOUGHT_HOST = re.compile(
    r"(?:[Rr]esolv(?:e|ing)(?: host)?:? |[Cc]onnect(?:ing)? to )[\"'“]?"
    r"(?P<host>[A-Za-z0-9][A-Za-z0-9-]*(?:\.[A-Za-z0-9-]+)+)"
)
"""As apt, curl and git complain of a host that they do not find."""
HOME = re.compile(r"/home/(?P<name>[^\s/\"'<>:;,(){}\[\]\\]+)")
UUID = r"(?P<uuid>(?<![0-9A-Za-z-])[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}(?![0-9A-Za-z-]))"
MACHINE_ID = r"(?P<machine>(?<![0-9A-Za-z])[0-9a-f]{32}(?![0-9A-Za-z]))"
"""machine-id(5); also what stands in the paths of boot entries."""
PARTITION = r"(?P<partition>(?<=PARTUUID=)[0-9A-Fa-f-]+)"
MAC = (
    r"(?P<mac>(?<![0-9A-Za-z:-])[0-9A-Fa-f]{2}(?P<between>[:-])(?:[0-9A-Fa-f]{2}(?P=between)){4}[0-9A-Fa-f]{2}"
    r"(?![0-9A-Za-z]|[:-][0-9A-Fa-f]))"
)
IPV6 = r"(?P<ipv6>(?<!\w)[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)"
IPV4 = r"(?P<ipv4>(?<!\d)(?<!\d\.)(?:\d{1,3}\.){3}\d{1,3}(?!\d)(?!\.\d))"
SERIAL = (
    r"(?P<said>(?i:\bserial[ _-]?(?:number|no\.?)?\"?\s*[:=]\s*\"?))"
    r"(?P<serial>[A-Za-z0-9][A-Za-z0-9._-]{5,})(?![\w/])"
)
DISK = r"(?P<by>/dev/disk/by-[a-z-]+/)(?P<disk>[^\s\"'<>,;)]+)"


def is_free_host(name: str) -> bool:
    """Whether the host is everybody's."""
    plain = name.casefold().rstrip(".")
    return any(plain == free or plain.endswith(f".{free}") for free in FREE_HOSTS)


def is_numbered(host: str) -> bool:
    """Whether a host is told by its address."""
    try:
        ipaddress.ip_address(host.rstrip("."))
    except ValueError:
        return host.isdigit()
    return True


def is_address(text: str) -> bool:
    """Whether the text is a network address of somebody's: not this machine's own to itself, no mask."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified or text.startswith("255."))


def address_in(text: str) -> tuple[int, int] | None:
    """Where in a run of hexadecimal groups and colons the longest IPv6 address stands; None for none."""
    groups = text.count(":") + 1
    if groups > LONGEST_ADDRESS_GROUPS + 1 and "::" not in text:
        return None
    cuts = [0, *(index for index, sign in enumerate(text) if sign == ":"), len(text)]
    starts = sorted({*cuts, *(cut + 1 for cut in cuts[1:-1])})
    ends = sorted({*starts, len(text.rstrip(".")), len(text)}, reverse=True)
    found = [
        (start, end)
        for start in starts
        for end in ends
        if end - start > 2 and ":" in text[start:end] and is_address(text[start:end])  # noqa: PLR2004  -- more than ::
    ]
    return max(found, key=lambda span: span[1] - span[0], default=None)
