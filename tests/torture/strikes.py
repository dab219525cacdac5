"""Root's operations made to fail, each in its turn: by lines put into the helper of a throwaway machine.

The wizard names the helper's text by its hash wherever it starts it, so that the text in a machine may
be another one than ours as long as it lies where the program's own lies.
"""

from tests.machine.layers import PROGRAM_FOLDER
from tests.machine.machine import ThrowawayMachine

STRIKE, OPERATIONS = "/root/strike", "/root/operations"
# Not where the runner reads the helper's names: there it is no program.
LAST_LINES = '\nif __name__ == "__main__":\n'
STRIKING = f"""

class Strike:
    def __init__(self):
        self.number, self.when = 0, "never"
        with contextlib.suppress(FileNotFoundError):
            number, self.when = Path({STRIKE!r}).read_text().split()
            self.number = int(number)

    def wrap(self, name, function, wanted, error):
        def call(*arguments, **options):
            if not wanted(arguments):
                return function(*arguments, **options)
            with open({OPERATIONS!r}, "a") as file:
                file.write(name + "\\n")
            self.number -= 1
            if self.number == 0 and self.when == "before":
                raise error(arguments)
            result = function(*arguments, **options)
            if self.number == 0 and self.when == "after":
                raise error(arguments)
            return result
        return call


def strike_everything():
    strike = Strike()
    every, broken = lambda _: True, lambda _: OSError(errno.EIO, "struck")
    for name in ("rename", "unlink", "mkdir", "rmdir", "chown", "chmod", "fchmod", "setxattr", "removexattr"):
        setattr(os, name, strike.wrap(name, getattr(os, name), every, broken))
    os.open = strike.wrap("open", os.open, lambda given: given[1] & os.O_CREAT, broken)
    failed = lambda given: subprocess.CalledProcessError(1, given[1])
    Work.run = strike.wrap("run", Work.run, every, failed)

"""
"""Every change of a file and every command is counted; the one of the number in the file fails: before it is
done, or after."""


def put_into_helper(machine: ThrowawayMachine) -> None:
    """From now on, the helpers of this machine fail as `strike` says."""
    found = machine.do(["/usr/bin/find", PROGRAM_FOLDER, "-name", "root_helper.py"]).split()
    (helper,) = map(machine.path, found)
    text = helper.read_text(encoding="utf-8")
    assert text.count(LAST_LINES) == 1
    helper.write_text(
        text.replace(LAST_LINES, f"{STRIKING}{LAST_LINES}    strike_everything()\n"), encoding="utf-8"
    )


def strike(machine: ThrowawayMachine, number: int, when: str) -> None:
    """Have the helpers to come fail at their operation of this number, `before` it is done or `after`."""
    machine.path(OPERATIONS).unlink(missing_ok=True)
    machine.path(STRIKE).write_text(f"{number} {when}\n", encoding="ascii")


def strike_no_more(machine: ThrowawayMachine) -> None:
    """The helpers to come do all that they are asked to."""
    machine.path(STRIKE).unlink(missing_ok=True)


def operations(machine: ThrowawayMachine) -> list[str]:
    """What was counted since the last `strike`."""
    told = machine.path(OPERATIONS)
    return told.read_text(encoding="ascii").split() if told.exists() else []
