"""How the script runs as the builder what must not be run as root."""

from kvmwizard.plan.model import Plan
from kvmwizard.plan.shell_words import Lines, line, quoted
from kvmwizard.resources import assets_directory

AS_BUILDER = "as_builder"
"""The function that reads shell lines and runs them as the builder."""

FUNCTION = (
    f"{AS_BUILDER}() {{",
    "    lines=$(cat)",
    '    setpriv --reuid "$uid" --regid "$gid" --clear-groups -- env -i PATH="$PATH" LC_ALL=C \\',
    '        http_proxy="${http_proxy-}" https_proxy="${https_proxy-}" no_proxy="${no_proxy-}" \\',
    '        /bin/sh -euc "umask 077; $lines" </dev/null',
    "}",
)


def builder_preamble(plan: Plan) -> Lines:
    """Who the builder is, and the build folder; nothing where nothing is built."""
    if plan.build_folder is None:
        return ()
    return (
        "",
        "# Nothing is unpacked or built as root.",
        *_identity(plan),
        *FUNCTION,
        *_folder(plan, plan.build_folder),
        *_assets(),
    )


def _identity(plan: Plan) -> Lines:
    """The user's numbers; a number without an account stands for its group, too."""
    if plan.builder is not None and plan.builder.isdigit():
        return (f"uid={plan.builder} gid={plan.builder}",)
    # Without a name, as when the wizard builds: whoever runs it, here by sudo.
    by_sudo = f'"${{SUDO_USER:-{quoted(plan.user)}}}"'
    return (
        f"builder={by_sudo if plan.builder is None else quoted(plan.builder)}",
        'uid=$(id -u -- "$builder") gid=$(id -g -- "$builder")',
        'if [ "$uid" -eq 0 ]; then',
        "    echo 'Run this by sudo as the user who shall build: root builds nothing.' >&2",
        "    exit 1",
        "fi",
    )


def _folder(plan: Plan, folder: str) -> Lines:
    if plan.builder is None:
        return (f"{AS_BUILDER} <<'END_OF_FILE'", line("mkdir", "-p", "--", folder), "END_OF_FILE")
    return (
        line("mkdir", "-p", "--", folder),
        f'chown -- "$uid:$gid" {quoted(folder)}',
        line("chmod", "0700", "--", folder),
    )


def _assets() -> Lines:
    """Patches, headers and keys are read as the builder."""
    assets = quoted(str(assets_directory()))
    return (
        f"if ! {AS_BUILDER} >/dev/null <<'END_OF_FILE'",
        line("ls", "--", str(assets_directory())),
        "END_OF_FILE",
        "then",
        f"    echo 'The builder cannot read '{assets}'; copy kvmwizard to where everybody can.' >&2",
        "    exit 1",
        "fi",
    )
