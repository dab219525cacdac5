"""`kvmwizard report`: packs what somebody needs who is asked for help, and shows it before."""

from pathlib import Path

from kvmwizard.commands.consent import agreed, somebody_can_answer
from kvmwizard.commands.exit_code import CommandRefused, ExitCode
from kvmwizard.commands.look import state_to_look_at
from kvmwizard.commands.output import show, show_json
from kvmwizard.commands.parser import Options
from kvmwizard.commands.saved import refusing_runs
from kvmwizard.report.archive import ReportRefused, usual_path, write_report
from kvmwizard.report.collect import Report, collect
from kvmwizard.report.text import report_as_json, report_lines
from kvmwizard.words import _, say


def run(options: Options) -> ExitCode:
    """Collect, show, and write if that is agreed to. Raises CommandRefused."""
    runs = state_to_look_at(options).runs
    if options.run is not None:
        with refusing_runs():
            runs.directory(options.run)
    report = collect(runs, options.run, with_names=options.with_names)
    path = options.output or usual_path()
    if _is_folder(path):
        path = usual_path(path)
    if not options.json:
        show("\n".join(report_lines(report)))
    wanted = options.yes or _agrees(path, options)
    if wanted:
        _write(report, path)
    _tell(report, path, options, written=wanted)
    return ExitCode.GOOD


def _is_folder(path: Path) -> bool:
    """Where that cannot be seen, as by root that looks as another user, writing says what is wrong."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _agrees(path: Path, options: Options) -> bool:
    return somebody_can_answer(options) and agreed(_("Write it to {path}? [y/N] ", path=str(path)))


def _write(report: Report, path: Path) -> None:
    try:
        write_report(report, path)
    except ReportRefused as refused:
        raise CommandRefused(ExitCode.NOT_GOOD, refused.words) from refused


def _tell(report: Report, path: Path, options: Options, *, written: bool) -> None:
    if options.json:
        show_json({**report_as_json(report), "path": str(path) if written else None})
    elif written:
        show(say("Written to {path}, for you alone to read. Look at it before you send it.", path=str(path)))
    else:
        show(say("Nothing was written. To write it, run the same again with --yes."))
