"""Each rule of the specification has its test, or the issue that brings it; and no test names a rule that is none.

The marks are read from the tests' source, so that this holds also where only a part of the tests is run.
"""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from surface.requirements import REQUIREMENTS

TESTS = Path(__file__).parents[1]


def test_every_rule_has_either_a_test_or_an_issue_that_brings_it():
    marked = {name for _, name in marks()}
    kept = {row.id for row in REQUIREMENTS if row.pending is None}
    pending = {row.id for row in REQUIREMENTS if row.pending is not None}
    assert {"without a test": sorted(kept - marked), "tested and pending": sorted(pending & marked)} == {
        "without a test": [],
        "tested and pending": [],
    }


def test_no_test_names_a_rule_that_is_not_in_the_list():
    known = {row.id for row in REQUIREMENTS}
    assert [(file, name) for file, name in marks() if name not in known] == []


def test_no_rule_stands_twice():
    assert [name for name, times in Counter(row.id for row in REQUIREMENTS).items() if times > 1] == []


def marks() -> Iterator[tuple[str, str]]:
    """The file and the rule of every `requirement` mark of the tests."""
    for path in sorted(TESTS.rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.requirement":
                for argument in node.args:
                    yield path.relative_to(TESTS).as_posix(), ast.literal_eval(argument)
