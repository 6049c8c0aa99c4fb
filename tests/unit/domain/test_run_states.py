"""A run is queued, then running, then ended in one of three ways."""

from shared.domain.runs import RecordType, RunState


def test_a_run_ends_in_one_of_three_ways():
    assert {state for state in RunState if state.final} == {RunState.SUCCEEDED, RunState.FAILED, RunState.STOPPED}


def test_records_have_the_numbers_of_the_muse_api():
    assert {kind: kind.number for kind in RecordType} == {
        RecordType.TEXT: 0,
        RecordType.IMAGE: 1,
        RecordType.VIDEO: 2,
        RecordType.COMMAND: 3,
        RecordType.SPEECH: 4,
        RecordType.TASK: 5,
    }
