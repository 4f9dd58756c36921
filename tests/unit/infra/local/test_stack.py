"""The stack chooses free ports, replaces a port that was taken meanwhile, and checks its input before it starts."""

from __future__ import annotations

import contextlib
import shlex
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from infra.local.ports import free_ports
from infra.local.stack import Stack
from shared.errors import MissingProgramError, StackError


@pytest.fixture
def replace_start(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[Stack], None]], None]:
    """Return a function that replaces the start of the parts."""
    for name in ("find_bigtable", "find_java", "find_pubsub"):
        monkeypatch.setattr(f"infra.local.google_emulators.{name}", lambda: Path("program"))
    return lambda start: monkeypatch.setattr(Stack, "_start", start)


def test_a_port_that_another_program_takes_meanwhile_is_replaced(
    replace_start: Callable[[Callable[[Stack], None]], None],
) -> None:
    attempts: list[dict[str, int]] = []
    with contextlib.ExitStack() as others:

        def start(stack: Stack) -> None:
            attempts.append(dict(stack.ports))
            if len(attempts) == 1:
                other = others.enter_context(socket.socket())
                other.bind(("127.0.0.1", stack.ports["pubsub"]))
                other.listen()
                raise StackError("pubsub-emulator ended with exit code 1")

        replace_start(start)
        [required] = free_ports(1)
        with Stack(ports={"ingest": required}, engine="google") as stack:
            assert stack.environment["PUBSUB_EMULATOR_HOST"] == f"127.0.0.1:{attempts[1]['pubsub']}"
            assert stack.settings.pubsub_emulator == stack.environment["PUBSUB_EMULATOR_HOST"]

    assert attempts[0]["pubsub"] != attempts[1]["pubsub"]
    assert [ports["ingest"] for ports in attempts] == [required, required]


def test_a_required_port_is_given_to_no_other_part(
    replace_start: Callable[[Callable[[Stack], None]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports = free_ports(12)
    monkeypatch.setattr("infra.local.stack.free_ports", lambda count: ports[:count])
    replace_start(lambda stack: None)
    with Stack(ports={"aggregate": ports[0]}, engine="google") as stack:
        assert len(set(stack.ports.values())) == 6
        assert stack.ports["aggregate"] == ports[0]


def test_an_error_without_a_lost_port_is_raised_at_once(
    replace_start: Callable[[Callable[[Stack], None]], None],
) -> None:
    attempts: list[Stack] = []

    def start(stack: Stack) -> None:
        attempts.append(stack)
        raise StackError("ingest ended with exit code 1")

    replace_start(start)
    with pytest.raises(StackError, match="ingest ended with exit code 1"), Stack():
        pass
    assert len(attempts) == 1


def test_one_port_for_two_parts_is_an_error() -> None:
    [port] = free_ports(1)
    with pytest.raises(StackError, match="expected a different one for each part"):
        Stack(ports={"ingest": port, "aggregate": port}).__enter__()


def test_a_taken_port_is_an_error_before_programs_are_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"aggregate: found port {port} taken"):
            Stack(ports={"aggregate": port}).__enter__()


def test_the_error_for_a_missing_emulator_names_the_commands_that_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    for name in ("CLOUDSDK_ROOT", "CLOUDSDK_ROOT_DIR"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MissingProgramError, match="apt-get install google-cloud-cli-bigtable-emulator"):
        Stack(engine="google").__enter__()


def test_the_exports_survive_a_shell(replace_start: Callable[[Callable[[Stack], None]], None], tmp_path: Path) -> None:
    contract = tmp_path / "my contract's $HOME.toml"
    contract.touch()
    replace_start(lambda stack: None)
    with Stack(contract=contract, functions=(), engine="google") as stack:
        for part in ("bigtable-emulator", "pubsub-emulator", "scheduler"):
            stack._supervisor.start(part, ["sleep", "600"])
        exports = [line for line in stack.describe().splitlines() if line.startswith("export ")]

    pasted = dict(shlex.split(line)[1].split("=", 1) for line in exports)
    assert pasted == stack.environment
    assert pasted["SLUICE_CONTRACT"] == str(contract)
