"""Ctrl-C during start-up: exit code 130 and one line, at every point after the interpreter has called `main`."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.metadata import entry_points

import pytest

from tests.support.samples import ROOT

# Sends SIGINT to itself while it imports the module of the first argument, then runs `sluice` with the other arguments.
INTERRUPTED_IMPORT = """
    import importlib.abc, os, signal, sys

    class Interrupt(importlib.abc.MetaPathFinder):
        def find_spec(self, name, path, target=None):
            if name == interrupted:
                sys.meta_path.remove(self)
                os.kill(os.getpid(), signal.SIGINT)

    interrupted = sys.argv.pop(1)
    signal.signal(signal.SIGINT, {handler})
    sys.meta_path.insert(0, Interrupt())
    from infra.cli.main import main
    main()
"""


def run_python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", textwrap.dedent(code), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("infra.cli.commands", ["--version"]),
        ("click", ["--version"]),
        ("msgspec", ["--version"]),
        ("infra.cli.options", ["--version"]),
        ("infra.cli.deploy", ["--version"]),
        ("shared.errors", ["--version"]),
        ("shared.contracts.loader", ["--version"]),
        ("importlib.metadata", ["--version"]),
        ("shared.bigtable_client", ["events", "user_0007"]),
        ("grpc", ["events", "user_0007"]),
        ("google.auth", ["publish", "--source", "data/sample_events.csv"]),
        ("infra.batch.check", ["check", "--source", "data/sample_events.csv"]),
    ],
)
def test_interrupting_an_import_exits_with_130_and_no_traceback(module: str, arguments: list[str]) -> None:
    done = run_python(INTERRUPTED_IMPORT.format(handler="signal.default_int_handler"), module, *arguments)

    assert (done.returncode, done.stderr.strip(), done.stdout) == (130, "sluice: interrupted", "")


def test_an_interrupt_is_not_lost_in_a_callback_that_ignores_exceptions() -> None:
    code = """
        import importlib.abc, os, signal, sys

        class Interrupt:
            def __del__(self):
                os.kill(os.getpid(), signal.SIGINT)

        class Finder(importlib.abc.MetaPathFinder):
            def find_spec(self, name, path, target=None):
                if name == "click":
                    Interrupt()

        signal.signal(signal.SIGINT, signal.default_int_handler)
        sys.meta_path.insert(0, Finder())
        from infra.cli.main import main
        main()
    """
    done = run_python(code, "--version")

    assert (done.returncode, done.stderr, done.stdout) == (130, "sluice: interrupted\n", "")


def test_a_sigint_that_the_parent_ignores_stays_ignored() -> None:
    done = run_python(INTERRUPTED_IMPORT.format(handler="signal.SIG_IGN"), "click", "--version")

    assert (done.returncode, done.stderr) == (0, "")


def test_the_default_handler_is_back_when_a_command_runs() -> None:
    code = """
        import signal, sys
        from infra.cli import commands, main
        signal.signal(signal.SIGINT, signal.default_int_handler)
        commands.run = lambda: int(signal.getsignal(signal.SIGINT) is not signal.default_int_handler)
        main.main()
    """

    assert run_python(code).returncode == 0


def test_the_entry_point_loads_no_other_module_of_sluice_and_no_dependency() -> None:
    [script] = entry_points(group="console_scripts", name="sluice")
    code = """
        import sys
        before = set(sys.modules)
        import infra.cli.main
        print(*sorted(set(sys.modules) - before - {"__future__"}))
    """

    assert script.value == "infra.cli.main:main"
    assert run_python(code).stdout.split() == ["infra", "infra.cli", "infra.cli.main", "infra.grpc_environment"]
