"""Reading a model's name."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.demo.faults import EVERY_CALL, LONGEST_PAUSE, Faults, ModelNameError, ToolCall, parse_model


@pytest.mark.parametrize(
    ("name", "faults"),
    [
        ("demo", Faults()),
        ("demo-slow-first:1.5", Faults(slow_first=1.5)),
        ("demo-slow:20", Faults(slow=0.02)),
        ("demo-tokens:500", Faults(tokens=500)),
        ("demo-429:2", Faults(too_many=2)),
        ("demo-429", Faults(too_many=EVERY_CALL)),
        ("demo-500:1", Faults(broken=1)),
        ("demo-429:1+demo-retry-after:0.05", Faults(too_many=1, retry_after=0.05)),
        ("demo-cut:3", Faults(cut=3)),
        ("demo-hang:0", Faults(hang=0)),
        ("demo-malformed:7", Faults(malformed=7)),
        ("demo-nousage", Faults(no_usage=True)),
        ("demo-empty", Faults(empty=True)),
        ("demo-slow-first:99999999", Faults(slow_first=LONGEST_PAUSE)),
    ],
)
def test_each_part_sets_its_fault(name, faults):
    assert parse_model(name) == faults


@pytest.mark.parametrize(
    "name", ["demo-slow:20+demo-cut:5", "demo+slow:20+cut:5", "demo-slow:20+cut:5", "demo+demo-cut:5+demo-slow:20"]
)
def test_parts_join_with_and_without_their_prefix(name):
    assert parse_model(name) == Faults(slow=0.02, cut=5)


def test_a_tool_takes_the_rest_of_the_name_whatever_is_in_it():
    faults = parse_model('demo-slow:1+demo-tool:add:{"a": "1+demo-cut:5", "b": {"c": 2}}')
    assert faults == Faults(slow=0.001, tool=ToolCall("add", '{"a": "1+demo-cut:5", "b": {"c": 2}}'))


def test_a_tool_without_arguments_gets_an_empty_object():
    assert parse_model("demo-tool:now").tool == ToolCall("now", "{}")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "gpt-4o",
        "Demo",
        "demonstration",
        "demo:3",
        "demo-",
        "demo+",
        "demo++cut:1",
        "demo-unknown",
        "demo-cut",
        "demo-cut:",
        "demo-cut:-1",
        "demo-cut:1.5",
        "demo-cut:\u0661",
        "demo-cut:99999999",
        "demo-slow:inf",
        "demo-slow:1e3",
        "demo-empty:1",
        "demo-cut:1+cut:2",
        "demo-tool",
        "demo-tool::{}",
        "demo-tool:two words:{}",
    ],
)
def test_other_names_are_refused(name):
    with pytest.raises(ModelNameError):
        parse_model(name)


def test_a_refusal_names_the_part_that_was_not_understood():
    with pytest.raises(ModelNameError, match="part 'slwo:3' is unknown; known are: slow-first, slow, "):
        parse_model("demo+slwo:3")


def is_read_or_refused(text):
    try:
        return isinstance(parse_model(text), Faults)
    except ModelNameError as error:
        return bool(str(error))


@given(st.text())
@example("demo-tool:")
def test_any_text_is_read_or_refused(text):
    assert is_read_or_refused(text)


_PARTS = st.tuples(
    st.sampled_from(["demo", "", "slow", "slow-first", "tokens", "429", "500", "cut", "hang", "empty", "tool", "x"]),
    st.sampled_from(["", ":", ":0", ":3", ":0.5", ":-1", ":name:{}", ":1e9", ":\u0663"]),
).map("".join)


@given(st.lists(_PARTS, max_size=5).map("+".join), st.sampled_from(["demo-", "demo+", "demo", ""]))
def test_names_that_are_nearly_right_are_read_or_refused(rest, first):
    assert is_read_or_refused(first + rest)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "slow-first": st.integers(0, 1000),
            "tokens": st.integers(0, 9_999_999),
            "429": st.integers(0, 100),
            "cut": st.integers(0, 1000),
        },
    )
)
def test_what_is_written_is_what_is_read(parts):
    name = "+".join(["demo", *(f"{kind}:{value}" for kind, value in parts.items())])
    assert parse_model(name) == Faults(
        slow_first=float(parts.get("slow-first", 0)),
        tokens=parts.get("tokens"),
        too_many=parts.get("429", 0),
        cut=parts.get("cut"),
    )
