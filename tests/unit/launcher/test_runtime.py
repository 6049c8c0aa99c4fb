"""How commands in other terminals find the database of a running `helicon up`."""

from pathlib import Path

import pytest

from services.launcher.embedded.data_folder import open_data_folder
from services.launcher.errors import WrongEnvironmentError
from services.launcher.runtime import ended_unasked, find_database_url, remove_runtime, write_runtime

GIVEN = "postgresql://given/helicon"
RUNNING = "postgresql://running/helicon"


def test_what_is_given_comes_before_what_runs(tmp_path: Path) -> None:
    data = open_data_folder(tmp_path, for_servers=False)
    write_runtime(data, database_url=RUNNING, redis_url="redis://running")
    environ = {"HELICON_DATA": str(tmp_path)}
    assert find_database_url(environ) == RUNNING
    assert find_database_url({**environ, "HELICON_DATABASE_URL": GIVEN}) == GIVEN


def test_the_default_folder_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = open_data_folder(Path(".helicon"), for_servers=False)
    write_runtime(data, database_url=RUNNING, redis_url="redis://running")
    assert find_database_url({}) == RUNNING


def test_nothing_that_runs_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WrongEnvironmentError, match="set HELICON_DATABASE_URL, or start helicon up"):
        find_database_url({"HELICON_DATA": str(tmp_path)})


def test_the_file_tells_a_start_whether_the_last_one_came_to_its_end(tmp_path: Path) -> None:
    data = open_data_folder(tmp_path, for_servers=False)
    write_runtime(data, database_url=RUNNING, redis_url="redis://running")
    assert ended_unasked(data)
    assert (tmp_path / "runtime.json").stat().st_mode & 0o777 == 0o600
    remove_runtime(data)
    assert not ended_unasked(data)
