"""What is taken out of a report, and the words that stand in its place."""

from dataclasses import dataclass
from enum import StrEnum

from kvmwizard.words import Words, say_many


class Kind(StrEnum):
    """What a secret is of; it names the placeholder, as `[user-1]`."""

    USER = "user"
    HOME = "home"
    HOST = "host"
    ADDRESS = "address"
    MAC = "mac"
    ID = "id"
    SERIAL = "serial"
    CREDENTIALS = "credentials"


@dataclass(frozen=True)
class Secret:
    """Something that names a person, a machine or a way into one."""

    kind: Kind
    value: str


def counted(kind: Kind, count: int) -> Words:
    """How often something of a kind was taken out."""
    match kind:
        case Kind.USER:
            return say_many("{count} user name", "{count} user names", count)
        case Kind.HOME:
            return say_many("{count} home folder", "{count} home folders", count)
        case Kind.HOST:
            return say_many("{count} host name", "{count} host names", count)
        case Kind.ADDRESS:
            return say_many("{count} network address", "{count} network addresses", count)
        case Kind.MAC:
            return say_many("{count} MAC address", "{count} MAC addresses", count)
        case Kind.ID:
            return say_many("{count} machine or disk id", "{count} machine or disk ids", count)
        case Kind.SERIAL:
            return say_many("{count} serial number", "{count} serial numbers", count)
        case Kind.CREDENTIALS:
            return say_many("{count} login of an address", "{count} logins of addresses", count)
