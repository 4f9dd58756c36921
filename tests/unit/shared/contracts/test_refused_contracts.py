"""Invalid contracts are refused with the file, the key, the value found and the value expected."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.aggregate.rollup import DayRollup
from shared.contracts.loader import parse_contract
from shared.contracts.schema import FieldTable
from shared.errors import ContractError
from shared.validation.checks import Checks
from shared.validation.transform import Transform
from tests.support.small_messages import FIELDS, HEAD, small_contract

X = '[fields.x]\ntype = "string"\n'
DAY = '[aggregates.day]\nn = "count"\n'


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        # [fields]
        (
            "[fields.x]\n",
            "fields.x.type: found nothing, expected 'string' or 'integer' or 'number' or 'boolean' or 'timestamp'"
            " or 'object' or 'array'",
        ),
        ('[fields.x]\ntype = "text"', "fields.x.type: found 'text', expected 'string' or 'integer' or"),
        (
            '[fields.x]\ntype = "integer"\ndefault = 99\nmax = 5',
            "fields.x.default: found 99, expected a value within the field's bounds",
        ),
        (
            X + 'default = "AB"\ncase = "lower"',
            "fields.x.default: found 'AB', expected 'ab', the default after the field's transform",
        ),
        (X + f"min_length = {2**63}", f"fields.x.min_length: found {2**63}, expected at most {2**63 - 1}"),
        (X + f"max_length = {2**63}", f"fields.x.max_length: found {2**63}, expected at most {2**63 - 1}"),
        (X + 'default = "ab"\nmin_length = 3', "fields.x.default: found 'ab', expected a value within"),
        (
            X + 'default = "ab"\npattern = "c+"',
            "fields.x.default: found 'ab', expected text that matches the pattern c+",
        ),
        ("[fields.x]\ntype = 5", "fields.x.type: found 5, expected 'string' or"),
        (
            X + "requird = true",
            "fields.x.requird: found True, expected only the keys type, from, required, severity, default",
        ),
        (X + 'required = "yes"', "fields.x.required: found 'yes', expected true or false"),
        (X + 'severity = "error"', "fields.x.severity: found 'error', expected 'reject' or 'warn'"),
        (X + "from = 5", "fields.x.from: found 5, expected text"),
        (
            X + 'from = "a..b"',
            "fields.x.from: found 'a..b', expected keys joined by single dots, such as actor.login; a key with",
        ),
        (X + "from = '\"a.b'", "fields.x.from: found '\"a.b', expected keys joined by single dots"),
        (X + "from = '\"a\"b'", "fields.x.from: found '\"a\"b', expected keys joined by single dots"),
        (X + "from = '\"\".b'", "fields.x.from: found '\"\".b', expected keys joined by single dots"),
        (X + 'from = ".a"', "fields.x.from: found '.a', expected keys joined by single dots"),
        (X + 'trim = "yes"', "fields.x.trim: found 'yes', expected true or false"),
        (X + 'case = "title"', "fields.x.case: found 'title', expected 'lower' or 'upper'"),
        (X + 'one_of = "a"', "fields.x.one_of: found 'a', expected a list"),
        (X + "min_length = 1.5", "fields.x.min_length: found 1.5, expected a whole number"),
        ('[fields.x]\ntype = "number"\nmin = "1"', "fields.x.min: found '1', expected a whole number or a number"),
        ('[fields.x]\ntype = "timestamp"\nunit = "m"', "fields.x.unit: found 'm', expected 's' or 'ms' or 'us'"),
        (
            '[fields."_x"]\ntype = "string"',
            "fields: found '_x', expected a name that isn't empty, doesn't begin with '_'",
        ),
        ('[fields.""]\ntype = "string"', "fields: found '', expected a name that isn't empty"),
        (
            '[fields.\'a"b\']\ntype = "string"',
            "fields: found 'a\"b', expected a name that isn't empty, doesn't begin with '_',"
            " has no quotes or backslashes",
        ),
        ('[fields."a\\\\b"]\ntype = "string"', "fields: found 'a\\\\b', expected a name that isn't empty"),
        ('[fields."a\\nb"]\ntype = "string"', "fields: found 'a\\nb', expected a name that isn't empty"),
        ('[fields]\nx = "string"', "fields.x: found 'string', expected a table [fields.x]"),
        (X + 'from = "user"', "fields.x.from: found 'user', expected a path that doesn't overlap with fields.user"),
        (
            X + 'from = "user.name"',
            "fields.x.from: found 'user.name', expected a path that doesn't overlap with fields.user",
        ),
        (
            X + 'from = "a.b"\n[fields.y]\ntype = "object"\nfrom = "a"',
            "fields.x.from: found 'a.b', expected a path that doesn't overlap with fields.y",
        ),
        (X + "one_of = []", "fields.x.one_of: found [], expected at least one allowed value"),
        # [checks]
        (
            '[checks]\nunknown_fields = "warn"',
            "checks.unknown_fields: found 'warn', expected 'keep' or 'drop' or 'reject'",
        ),
        ("[checks]\nunknown = 1", "checks.unknown: found 1, expected only the keys unknown_fields"),
        # [aggregates]
        (
            "[checks]\nmax_rejected = 20",
            "checks.max_rejected: found 20.0, expected a share of a day's events, from 0 to 1",
        ),
        ("[aggregates]\nx = 5", "aggregates.x: found 5, expected a table"),
        (
            '[aggregates.quality]\nn = "count"',
            "aggregates: found 'quality', expected a name other than 'quality', of 1 to 1024 bytes percent-encoded,"
            " that doesn't begin with '_'",
        ),
        ('[aggregates._x]\nn = "count"', "aggregates: found '_x', expected a name other than"),
        ('[aggregates.""]\nn = "count"', "aggregates: found '', expected a name other than"),
        ("[aggregates.day]", 'aggregates.day: found {}, expected at least one measure, such as total_events = "count"'),
        ('[aggregates.day]\nby = "user"', "aggregates.day: found {'by': 'user'}, expected at least one measure"),
        (DAY + "by = 5", "aggregates.day.by: found 5, expected text"),
        (DAY + 'by = "nowhere"', "aggregates.day.by: found 'nowhere', expected one of the fields: id, user, time"),
        (DAY + 'by = "time"', "aggregates.day.by: found 'time', expected a field of type string, integer or boolean"),
        (DAY + 'where = "x"', "aggregates.day.where: found 'x', expected a table"),
        (
            DAY + "where = { nowhere = 1 }",
            "aggregates.day.where: found 'nowhere', expected one of the fields: id, user, time",
        ),
        (DAY + "where = { id = {} }", "aggregates.day.where.id: found {}, expected a value of type string, or a list"),
        (DAY + "where = { id = [[]] }", "aggregates.day.where.id: found [], expected a value of type string"),
        (DAY + "where = { id = [] }", "aggregates.day.where.id: found [], expected at least one value"),
        (DAY + "where = { id = 5 }", "aggregates.day.where.id: found 5, expected a value of type string"),
        (DAY + "where = { time = 5 }", "aggregates.day.where.time: found 5, expected a condition on a field of type"),
        (
            X + 'one_of = ["a", "b"]\n' + DAY + 'where = { x = ["a", "c"] }',
            "aggregates.day.where.x: found 'c', expected one of ['a', 'b']",
        ),
        (f'[aggregates.{"d" * 1025}]\nn = "count"', f"aggregates: found '{'d' * 116}..., expected a name other than"),
        (DAY + "m = 5", 'aggregates.day.m: found 5, expected "count", or unique, sum, min, max or mean of a field'),
        (DAY + 'm = "median(id)"', "aggregates.day.m: found 'median(id)', expected \"count\", or unique"),
        (
            DAY + 'm = "unique(nowhere)"',
            "aggregates.day.m: found 'unique(nowhere)', expected a measure of one of the fields: id, user, time",
        ),
        (DAY + 'm = "sum(user)"', "aggregates.day.m: found 'sum(user)', expected a field of type integer or number"),
        (
            DAY + 'm = "unique(time)"',
            "aggregates.day.m: found 'unique(time)', expected a field of type string or integer or number or boolean",
        ),
        (
            DAY + '_m = "count"',
            "aggregates.day: found '_m', expected a measure's name that isn't empty and doesn't begin with '_'",
        ),
        (
            DAY + 'u = "unique(user)"\nu_error = "count"',
            "aggregates.day.u_error: found 'count', expected another name: "
            "this one is reserved for the error bound of the estimate u",
        ),
        (DAY + '"" = "count"', "aggregates.day: found '', expected a measure's name"),
        # [source]
        (
            "[source]\nformat = 'xml'",
            "source.format: found 'xml', expected 'auto' or 'csv' or 'json' or 'access_log' or",
        ),
        ("[source]\nencoding = 'no such'", "source.encoding: found 'no such', expected an encoding that Python reads"),
        ("[source]\nencoding = 'base64'", "source.encoding: found 'base64', expected an encoding that Python reads"),
        ("[source]\ndelimiter = '::'", "source.delimiter: found '::', expected one character, such as"),
        ("[source]\ndelimiter = 'x'", "source.delimiter: found 'x', expected one character, such as"),
        ("[source]\ndelimiter = '\"'", "source.delimiter: found '\"', expected one character, such as"),
        ("[source]\nskip_lines = -1", "source.skip_lines: found -1, expected 0 or more"),
        ("[source]\ncolumns = []", "source.columns: found [], expected the names of all columns, in order"),
        ("[source]\ncolumns = 'a'", "source.columns: found 'a', expected a list"),
        (
            "[source]\nformat = 'json'\ncolumns = ['a']",
            "source.columns: found ['a'], expected no columns for format json; columns applies to auto, csv",
        ),
        ("[source]\ncolumns = ['a', ' ']", "source.columns: found ['a', ' '], expected the names of all columns"),
        ("[source]\ndecimal = ';'", "source.decimal: found ';', expected '.' or ','"),
        (
            "[source]\nthousands = '.'",
            "source.thousands: found '.', expected another mark than the decimal mark, '.'; set decimal = \",\"",
        ),
        ("[source]\nthousands = ','\ndecimal = ','", "source.thousands: found ',', expected another mark than"),
        (
            "[source]\nformat = 'json'\ndelimiter = ';'",
            "source.delimiter: found ';', expected no delimiter for format json; delimiter applies to auto, csv",
        ),
        (
            "[source]\nformat = 'parquet'\nencoding = 'latin-1'",
            "source.encoding: found 'latin-1', expected no encoding for format parquet; "
            "encoding applies to auto, csv, json, access_log",
        ),
        ("[source]\nskip = 1", "source.skip: found 1, expected only the keys format, encoding, delimiter, skip_lines,"),
        # top-level keys
        (
            "[event2]\n",
            "event2: found {}, "
            "expected only the top-level keys aggregates, checks, event, fields, name, source, version",
        ),
    ],
)
def test_wrong_tables(extra: str, message: str) -> None:
    assert error_text(extra).startswith("small.toml: " + message)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("version = 1", "", "version: found nothing, expected 1"),
        ("version = 1", "version = 2", "version: found 2, expected 1"),
        ("version = 1", "version = true", "version: found True, expected 1"),
        ('name = "small"', "", "name: found nothing, expected a name for these events, as text"),
        ('name = "small"', "name = 5", "name: found 5, expected a name for these events, as text"),
        ('name = "small"', 'name = ""', "name: found '', expected a name for these events, as text"),
        ('id = "id"', "", "event.id: found nothing, expected text or a list"),
        ('id = "id"', "id = 5", "event.id: found 5, expected text or a list"),
        ('id = "id"', "id = [5]", "event.id: found [5], expected text or a list"),
        ('id = "id"', "id = []", "event.id: found [], expected a field, or a list of different fields"),
        (
            'id = "id"',
            'id = ["id", "id"]',
            "event.id: found ['id', 'id'], expected a field, or a list of different fields",
        ),
        ('id = "id"', 'id = "nowhere"', "event.id: found 'nowhere', expected one of the fields: id, user, time"),
        (
            '[fields.id]\ntype = "string"',
            '[fields.id]\ntype = "object"',
            "fields.id.type: found 'object', expected string or integer or number or boolean or timestamp,"
            " since it is the event's id",
        ),
        (
            'id = "id"',
            'id = ["id", "digest(record)"]',
            "event.id: found 'digest(record)', expected one of the fields: id, user, time",
        ),
        ('user = "user"', "", "event.user: found nothing, expected text"),
        (
            'user = "user"',
            'user = "nowhere"',
            "event.user: found 'nowhere', expected one of the fields: id, user, time",
        ),
        (
            'user = "user"',
            'user = "time"',
            "fields.time.type: found 'timestamp', expected string or integer, since it is the event's user",
        ),
        ('time = "time"', "", "event.time: found nothing, expected text"),
        (
            'time = "time"',
            'time = "id"',
            "fields.id.type: found 'string', expected timestamp, since it is the event's time",
        ),
        ('time = "time"', 'time = "time"\nbucket = "week"', "event.bucket: found 'week', expected 'day' or 'hour'"),
        (
            'time = "time"',
            'time = "time"\nbuckets = "day"',
            "event.buckets: found 'day', expected only the keys id, user, time, bucket",
        ),
        (
            "[fields.id]",
            '[fields.id]\nseverity = "warn"',
            "fields.id.severity: found 'warn', expected reject, since it is the event's id",
        ),
        (
            "[fields.user]",
            '[fields.user]\nseverity = "warn"',
            "fields.user.severity: found 'warn', expected reject, since it is the event's user",
        ),
        (
            "[fields.time]",
            "[fields.time]\nrequired = false",
            "fields.time.required: found False, expected true, since it is the event's time",
        ),
        (
            "[fields.id]",
            '[fields.id]\ndefault = "x"',
            "fields.id.default: found 'x', expected no default, since it is the event's id",
        ),
    ],
)
def test_wrong_heads(before: str, after: str, message: str) -> None:
    assert before in HEAD + FIELDS

    found = error_text(head=HEAD.replace(before, after), fields=FIELDS.replace(before, after))

    assert found.startswith("small.toml: " + message)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("", "version: found nothing"),
        ('version = 1\nname = "x"', "event: found nothing, expected a table [event]"),
        ('version = 1\nname = "x"\nevent = 5', "event: found 5, expected a table [event]"),
        (HEAD, "fields: found nothing, expected tables such as [fields.name]"),
        (HEAD + "[fields]", "fields: found {}, expected tables such as [fields.name]"),
        ("fields = 5\n" + HEAD, "fields: found 5, expected tables such as [fields.name]"),
        ("checks = 5\n" + HEAD + FIELDS, "checks: found 5, expected a table [checks]"),
        (
            "aggregates = []\n" + HEAD + FIELDS,
            "aggregates: found [], expected tables such as [aggregates.name]",
        ),
    ],
)
def test_missing_and_misplaced_tables(toml: str, message: str) -> None:
    with pytest.raises(ContractError) as caught:
        parse_contract(tomllib.loads(toml), "small.toml")

    assert str(caught.value).startswith("small.toml: " + message)


def test_the_value_found_is_shortened() -> None:
    found = error_text(X + f'case = "{"x" * 1_000}"')

    assert found == f"small.toml: fields.x.case: found '{'x' * 116}..., expected 'lower' or 'upper'"


def error_text(extra: str = "", *, head: str = HEAD, fields: str = FIELDS) -> str:
    with pytest.raises(ContractError) as caught:
        small_contract(extra, head=head, fields=fields)
    return str(caught.value)


toml_values = st.recursive(
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=5)
    | st.dates()
    | st.times()
    | st.datetimes()
    | st.sampled_from(
        ["id", "user", "time", "string", "integer", "timestamp", "number", "count", "sum(n)", "%Y", "5m"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "from", "by", "where", "id", "n", "", "_"]), inner, max_size=3)
    ),
    max_leaves=5,
)
field_keys = [*FieldTable.__struct_encode_fields__, "other"]
likely = {
    "type": st.sampled_from(["string", "integer", "number", "boolean", "timestamp", "object", "array"]),
    "pattern": st.text(st.sampled_from("a*+?()[]{}|\\.^$12,"), max_size=8),
    "format": st.text(st.sampled_from("%YmdHMSzjGVuwUcxXyfpbBaAZ -:/["), max_size=10),
    "max_age": st.from_regex(r"[0-9]{1,10}(ms|s|m|h|d|y)", fullmatch=True),
    "min": st.integers() | st.floats(),
    "max": st.integers() | st.floats(),
    "one_of": st.lists(toml_values, max_size=3),
    "default": st.integers() | st.floats() | st.text(max_size=3),
}
field_tables = st.dictionaries(st.sampled_from(field_keys), toml_values, max_size=3) | st.fixed_dictionaries(
    {"type": likely["type"]}, optional={key: values for key, values in likely.items() if key != "type"}
)
documents = st.fixed_dictionaries(
    {
        "version": st.just(1) | toml_values,
        "name": st.just("n") | toml_values,
        "event": st.just({"id": "id", "user": "user", "time": "time"}) | toml_values,
        "fields": st.builds(
            lambda key_fields, others: {**others, **key_fields},
            st.just({"id": {"type": "string"}, "user": {"type": "string"}, "time": {"type": "timestamp"}}),
            st.dictionaries(
                st.sampled_from(["n", "x.y", "user", "a'b", 'a"b']), field_tables | toml_values, max_size=2
            ),
        )
        | toml_values,
    },
    optional={
        "checks": st.fixed_dictionaries({}, optional={"unknown_fields": toml_values | st.just("reject")}) | toml_values,
        "aggregates": st.dictionaries(
            st.text(max_size=3),
            toml_values | st.fixed_dictionaries({"m": st.sampled_from(["count", "sum(n)", "unique(user)"])}),
            max_size=2,
        )
        | toml_values,
    },
)


@pytest.mark.filterwarnings("ignore:Parsing dates involving a day of month without a year:DeprecationWarning")
@given(documents | st.dictionaries(st.text(max_size=5), toml_values, max_size=3))
def test_any_document_makes_a_working_contract_or_a_clear_error(document: dict[str, Any]) -> None:
    try:
        made = parse_contract(document, "any.toml")
    except ContractError as error:
        message = str(error)
    else:
        Transform(made)({})
        Checks(made)
        DayRollup(made.user, made.aggregates)
        made.fingerprint()
        return
    assert message.startswith("any.toml: ")
    assert ": found " in message
    assert ", expected " in message
