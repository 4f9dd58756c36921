"""The documentation names commands, tests, files and values as the code has them."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from infra.cli.commands import sluice
from infra.deploy.config import load
from infra.deploy.steps import Target, deploy_steps
from infra.deploy.teardown import teardown_steps
from infra.provision.plan import plan_job, plan_table, plan_topics
from infra.provision.pubsub import PubSub
from infra.provision.resources import RESOURCES
from infra.provision.scheduler_client import JOB, TOPIC, job_message
from shared import json_nesting
from shared.aggregate.pipeline import MAX_MISSED_DAYS
from shared.bigtable_client import BigTableClient
from shared.config import Settings
from shared.contracts.loader import load_contract
from shared.ingest.flow_control import FlowLimits
from shared.pubsub.message import MAX_EVENTS_PER_MESSAGE, MAX_UNPACKED_BYTES
from shared.runtime.logs import LogEvent
from shared.tables.events import _MIN_LARGE_ROW_CELLS, LARGE_ROW_BYTES
from shared.validation import validator
from shared.validation.checks import MAX_UNKNOWN_FINDINGS
from tests.bench import scale_simulation
from tests.bench.report import page as bench_page
from tests.bench.report import runs as bench_runs
from tests.support import behaviours
from tests.support.commands import exists
from tests.support.samples import ROOT

PAGES = {path: path.read_text("utf-8") for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]}
SNIPPETS = ROOT / "docs" / "snippets"


def page(name: str) -> str:
    return PAGES[ROOT / "docs" / name]


def fences(text: str) -> Iterator[tuple[str, str]]:
    """Yield the information string and the text of each fenced block, without its indentation."""
    for indent, information, block in re.findall(r"^( *)```([^\n`]+)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL):
        yield information, re.sub(f"^{indent}", "", block, flags=re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    prose = re.sub(r"^ *```.*?^ *```$", "", text, flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_behaviour_names_tests_that_exist() -> None:
    assert behaviours.missing_tests(behaviours.load()) == []


def test_a_missing_test_is_reported_with_file_and_function() -> None:
    wrong = [
        behaviours.Behaviour("g", "first", "", ("tests/unit/test_docs.py::test_gone",)),
        behaviours.Behaviour("g", "second", "", ("tests/unit/gone.py::test_gone",)),
    ]

    assert behaviours.missing_tests(wrong) == [
        "tests/behaviours.toml: first: tests/unit/test_docs.py has no function test_gone",
        "tests/behaviours.toml: second: there is no file tests/unit/gone.py",
    ]


def test_the_index_of_behaviours_is_generated() -> None:
    assert page("behaviours.md") == behaviours.page(behaviours.load()), "run `make docs`"


def test_behaviours_have_distinct_anchors() -> None:
    found = behaviours.load()
    names = [each.id for each in found] + list(dict.fromkeys(each.group for each in found))

    assert len(names) == len(set(names))
    assert [name for name in names if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)] == []


def test_every_behaviour_is_linked_from_a_page() -> None:
    linked = set(re.findall(r"\(\S*behaviours\.md#([\w-]+)\)", "".join(PAGES.values())))

    assert {each.id for each in behaviours.load()} == linked


def test_no_other_page_names_a_test_function() -> None:
    functions = {name for path in (ROOT / "tests").rglob("test_*.py") for name in behaviours.functions_of(path)}
    named = {
        (path.name, name)
        for path, text in PAGES.items()
        if path != behaviours.PAGE
        for name in re.findall(r"\btest_\w+", text)
    }

    assert {(path, name) for path, name in named if name in functions} == set()


def test_every_scenario_is_a_behaviour() -> None:
    source = (ROOT / "tests" / "faults" / "scenarios.py").read_text("utf-8")
    scenarios = set(re.findall(r"^def (\w+)\(injector: Injector\)", source, re.MULTILINE))
    listed = {test for each in behaviours.load() for test in each.tests}

    assert len(scenarios) == 5
    assert {name for name in scenarios if f"tests/faults/scenarios.py::{name}" not in listed} == set()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_link_resolves(path: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[path]):
        if re.match(r"https?:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        if not linked.exists() or (anchor and anchor not in anchors(PAGES[linked])):
            broken.append(target)

    assert broken == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_file_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"`((?:shared|infra|functions|tests|docs|data)/[\w./-]*)`", PAGES[path])

    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_module_that_is_named_exists(path: Path) -> None:
    named = re.findall(r"(?:python -m |`)((?:shared|infra|tests)(?:\.\w+)+)", PAGES[path])

    assert [name for name in named if not _has_module(name)] == []


def _has_module(name: str) -> bool:
    """Return whether a dotted name is a module or an attribute of one."""
    parts = name.split(".")
    module, attribute = ROOT.joinpath(*parts), ROOT.joinpath(*parts[:-1]).with_suffix(".py")
    defined = attribute.is_file() and parts[-1] in behaviours.functions_of(attribute)
    return module.is_dir() or module.with_suffix(".py").is_file() or defined


def test_every_snippet_is_shown_as_it_is() -> None:
    shown: dict[str, list[str]] = {}
    for text in PAGES.values():
        for information, block in fences(text):
            name = information.partition(" ")[2]
            if name:
                shown.setdefault(name, []).append(block)

    files = {f"docs/snippets/{path.name}": path.read_text("utf-8") for path in SNIPPETS.iterdir() if path.is_file()}
    assert set(shown) == set(files)
    assert {name for name, blocks in shown.items() if blocks != [files[name]]} == set()


def commands() -> list[tuple[str, tuple[str, ...]]]:
    """Return (page, words) of each `sluice` command in a block of the terminal, a table or a sentence."""
    found = []
    for path, text in PAGES.items():
        lines = re.findall(r"^ *\$ (?:.*\| )?(?:\.venv/bin/)?(sluice .*)$", text, re.MULTILINE)
        lines += re.findall(r"`(?:\.venv/bin/)?(sluice [^`]+)`", text)
        for line in lines:
            plain = re.sub(r"[\[\]|\\]|  #.*", " ", line)
            found.append((path.name, tuple(shlex.split(plain.replace("$", "\\$")))))
    return found


def test_every_command_exists_with_its_options() -> None:
    quoted = commands()

    assert len(quoted) > 80
    assert [(path, words) for path, (_, *words) in quoted if not exists(words)] == []


def test_every_command_is_in_the_table_of_commands() -> None:
    leaves = {
        f"sluice {name} {sub}".strip()
        for name, command in sluice.commands.items()
        for sub in (command.commands if isinstance(command, click.Group) else ("",))
    }

    assert {each for each in leaves if f"| `{each}" not in page("commands.md")} == set()


def test_every_make_target_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {name for text in PAGES.values() for name in re.findall(r"(?:`|\$ )make ([a-z]+)", text)}

    assert len(named) > 10
    assert named <= targets


def test_every_variable_that_is_read_is_documented() -> None:
    source = (ROOT / "shared" / "config.py").read_text("utf-8")
    read = set(re.findall(r"\"([A-Z][A-Z0-9]*_[A-Z0-9_]+)\"", source))

    assert len(read) > 10
    assert {name for name in read if f"| `{name}` |" not in page("settings.md")} == set()


def test_every_method_of_the_client_is_documented() -> None:
    methods = {name for name in vars(BigTableClient) if not name.startswith("_")}

    assert {name for name in methods if f"| `{name}` |" not in page("python.md")} == set()


def test_every_log_event_is_documented() -> None:
    assert {event for event in LogEvent if f"| `{event}` |" not in page("operations.md")} == set()


def test_the_layers_of_contributing_are_those_of_the_linter() -> None:
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    [layers] = [contract["layers"] for contract in linter["contracts"] if contract["type"] == "layers"]

    assert "\n".join(layers) in PAGES[ROOT / "CONTRIBUTING.md"]


def test_the_page_of_the_benchmarks_is_generated() -> None:
    runs = bench_runs.load()

    assert page("benchmarks.md") == bench_page.markdown(runs), "run `make docs`"
    assert len(runs) > 1
    assert runs[0].note == ""


@pytest.mark.slow
def test_the_tables_of_the_scale_page_are_those_of_the_simulation() -> None:
    tables = [scale_simulation.load_table(), scale_simulation.rows_table(), scale_simulation.shards_table()]

    assert [table for table in tables if table not in page("scale.md")] == []
    assert scale_simulation.intraday_table() in page("schedule.md")


def test_the_sum_of_zipfs_law_is_approximated_closely() -> None:
    for exponent in scale_simulation.EXPONENTS:
        exact = sum(rank**-exponent for rank in range(1, 200_001))

        assert scale_simulation.harmonic(200_000, exponent) == pytest.approx(exact, rel=1e-9)
        assert scale_simulation.harmonic(100, exponent) == sum(rank**-exponent for rank in range(1, 101))


def test_the_scale_page_has_the_limits_of_the_code() -> None:
    text = page("scale.md")

    assert f"over {LARGE_ROW_BYTES // 10**6} MB of values is logged" in text
    assert f"fewer than {_MIN_LARGE_ROW_CELLS} cells" in text
    assert f"`max_instances = {load().ingest.max_instances}`" in text
    assert f"{load().aggregate.timeout} s and stops at 95 %" in text
    assert int(load().aggregate.timeout * 0.95) == scale_simulation.DAY_DEADLINE


def test_the_contract_example_loads() -> None:
    contract = load_contract(SNIPPETS / "hub.toml")

    assert [each.dimension for each in contract.aggregates] == ["repo", "all"]


def test_limits_are_documented() -> None:
    operations = page("operations.md")

    assert f"over {MAX_UNPACKED_BYTES // 2**20} MiB" in operations
    assert f"over {MAX_EVENTS_PER_MESSAGE:,} events" in operations
    assert f"over {validator.MAX_EVENT_BYTES // 2**20} MiB" in operations
    assert f"deeper than {json_nesting.MAX_NESTING_DEPTH} levels" in operations
    assert f"more than {MAX_UNKNOWN_FINDINGS} unknown fields" in operations
    assert f"{MAX_MISSED_DAYS} days back at most" in operations
    assert f"{MAX_MISSED_DAYS} days back at most" in page("schedule.md")
    limits = FlowLimits()
    active, waiting = limits.active_bytes // 2**20, limits.waiting_bytes // 2**20
    assert f"{active} MiB of events in work and {waiting} MiB of messages waiting" in page("functions.md")


def test_the_daily_job_is_documented() -> None:
    job = job_message(Settings("p", "i"), RESOURCES.jobs[0])
    text = page("schedule.md")

    assert (job.schedule, job.time_zone) == ("0 1 * * *", "Etc/UTC")
    assert f"One job of Cloud Scheduler, `{JOB}`, publishes `{{}}` to the topic `{TOPIC}` at 01:00 UTC" in text
    assert job.pubsub_target.data == b"{}"


def test_the_declared_resources_are_documented() -> None:
    """Names, and the values beside them."""
    text = page("provisioning.md")
    named = {*RESOURCES.topics, *(each.name for each in (*RESOURCES.subscriptions, *RESOURCES.tables, *RESOURCES.jobs))}
    (job,) = RESOURCES.jobs
    ingest, keep, _ = RESOURCES.subscriptions
    by_name = {table.name: table for table in RESOURCES.tables}

    assert {name for name in named if f"`{name}`" not in text} == set()
    assert f"`{job.schedule}` in {job.time_zone} publishes `{job.data.decode()}`" in text
    assert f"; {job.retries} retries" in text
    assert f"{ingest.ack_deadline.total_seconds():.0f} s to answer, {ingest.retention.days} days kept" in text
    assert f"{ingest.minimum_backoff.seconds} to {ingest.maximum_backoff.seconds} s between attempts" in text
    assert f"gives up after {ingest.attempts} attempts" in text
    assert f"keeps dead letters for {keep.retention.days} days" in text
    assert f"split at {len(by_name['events'].splits)} keys" in text
    rejected = by_name["rejected"].families["r"].age
    assert rejected is not None
    assert f"family `r`, {rejected.days} days" in text


def test_the_output_of_provisioning_on_google_cloud_is_documented() -> None:
    pubsub = PubSub(Settings("p", "i"), RESOURCES, None, None)
    changes = [
        *plan_topics(RESOURCES.topics, ()),
        *pubsub.plan_creation(),
        *(change for table in RESOURCES.tables for change in plan_table(table, None)),
        *(change for job in RESOURCES.jobs for change in plan_job(job, None)),
    ]

    assert "".join(f"   {change.line()}\n" for change in changes) in page("deploy.md")


def test_the_output_of_deploying_and_destroying_is_documented() -> None:
    """Every line in the words of a step is the line of a step."""
    target = Target("my-project", "my-instance", "us-central1", "music.toml", Path("build"))
    steps = [*deploy_steps(target, load()), *teardown_steps(target)]
    # "the" alone begins too many other lines.
    kinds = {step.title.split()[0] for step in steps} - {"the"} | {"the function", "the role", "the account", "the sub"}

    shown = re.findall(rf"^ +((?:{'|'.join(kinds)}).*)$", page("deploy.md"), re.MULTILINE)

    assert len(shown) > 10
    assert {line for line in shown if not line.startswith(("the tables", "the instance"))} <= {
        step.title for step in steps
    }
