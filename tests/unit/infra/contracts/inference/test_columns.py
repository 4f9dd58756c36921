"""Records are taken apart into columns, one for each path."""

from __future__ import annotations

from infra.contracts.inference.columns import Column, columns_of


def test_nested_objects_become_paths() -> None:
    first, second, third = columns_of([{"a": 1, "b": {"c": "x", "d.e": None}}, {"b": {"c": ""}, "a": 2.5}])

    assert (first.path, first.values) == (("a",), [1, 2.5])
    assert (second.path, second.values) == (("b", "c"), ["x", None])
    assert (third.path, third.values, third.null_share) == (("b", "d.e"), [None, None], 1.0)


def test_a_path_with_values_and_objects_is_one_column() -> None:
    (column,) = columns_of([{"a": {"b": 1}}, {"a": "text"}])

    assert column.values == [{"b": 1}, "text"]
    assert dict(column.kinds) == {dict: 1, str: 1}


def test_an_object_with_many_rare_keys_is_one_column() -> None:
    records = [{"seen": {f"user-{number}": 1, "total": 5}} for number in range(50)]

    (column,) = columns_of(records)

    assert column.path == ("seen",)
    assert column.values[3] == {"user-3": 1, "total": 5}


def test_a_record_with_many_common_keys_is_taken_apart() -> None:
    records = [{"row": {f"key_{number}": number for number in range(60)}}] * 3

    assert len(columns_of(records)) == 60


def test_an_object_at_a_path_that_is_whole_is_one_column() -> None:
    (column,) = columns_of([{"a": {"b": 1}}], whole={("a",)})

    assert column.values == [{"b": 1}]


def test_a_column_counts_its_values() -> None:
    column = Column(("a",), ["x", None, "y", "x"])

    assert (column.distinct, column.null_share, column.counts.most_common(1)) == (2, 0.25, [("x", 2)])
    assert column.only(str)
    assert not Column(("a",), [1, "x"]).only(str)
    assert Column(("a",), [[1], [2]]).distinct == 0
