"""The command line: every setting is a flag, mistakes are one line and exit code 2, help is quick."""

import os
import subprocess
import sys

import pytest
from pydantic import BaseModel

from services.launcher import cli
from services.launcher.commands import migrate, parts, up
from shared.config import GatewaySettings, LauncherSettings, Settings, WorkerSettings
from shared.contracts.live import Base, Llm


class Became(BaseException):
    """Stands in for `execve`, which does not come back."""

    def __init__(self, arguments: list[str], environ: dict[str, str]) -> None:
        super().__init__(arguments)
        self.arguments = arguments
        self.settings = {name: value for name, value in environ.items() if name.startswith("HELICON_")}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HELICON_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch):
    def execve(_path: str, arguments: list[str], environ: dict[str, str]) -> None:
        raise Became(arguments, environ)

    monkeypatch.setattr(os, "execve", execve)

    def run(*arguments: str) -> Became:
        monkeypatch.setattr(sys, "argv", ["helicon", *arguments])
        with pytest.raises(Became) as caught:
            cli.main()
        return caught.value

    return run


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["helicon", *arguments])
        code = cli.main()
        return code, capsys.readouterr().err

    return run


def test_the_gateway_takes_over_the_process_with_its_flags_as_settings(became) -> None:
    seen = became("gateway", "--port", "9000", "--ping-seconds=5", "-max_tokens=77", "-openai_token", "sk-1")
    assert seen.arguments == [sys.executable, "-P", "-m", "services.gateway"]
    assert seen.settings == {
        "HELICON_PORT": "9000",
        "HELICON_PING_SECONDS": "5",
        "HELICON_MAX_TOKENS": "77",
        "HELICON_OPENAI_TOKEN": "sk-1",
    }


@pytest.mark.parametrize(
    "arguments", [("-Q", "chat,agent", "-c", "4"), ("-Qchat,agent", "-c4"), ("--worker-queues=chat,agent", "-c", "4")]
)
def test_the_worker_has_short_names_for_queues_and_concurrency(became, arguments: tuple[str, ...]) -> None:
    seen = became("worker", *arguments)
    assert seen.arguments[-1] == "services.worker"
    assert seen.settings == {"HELICON_WORKER_QUEUES": "chat,agent", "HELICON_WORKER_CONCURRENCY": "4"}


def test_the_demo_upstream_takes_over_the_process(became) -> None:
    seen = became("demo-upstream", "--port", "8090")
    assert seen.arguments[1:] == ["-P", "-m", "services.demo", "--host", "127.0.0.1", "--port", "8090"]


def test_a_value_may_begin_with_a_dash(became) -> None:
    assert became("gateway", "-character", "-be_kind=yes").settings == {"HELICON_CHARACTER": "-be_kind=yes"}


def test_up_hands_its_flags_on(monkeypatch: pytest.MonkeyPatch, outcome) -> None:
    seen: dict[str, str] = {}
    monkeypatch.setattr(up, "run_up", seen.update)
    assert outcome("up", "--no-demo", "--workers", "2", "--data=/d", "-lang=zh") == (0, "")
    assert {name: value for name, value in seen.items() if name.startswith("HELICON_")} == {
        "HELICON_DEMO": "off",
        "HELICON_WORKERS": "2",
        "HELICON_DATA": "/d",
        "HELICON_LANG": "zh",
    }


@pytest.mark.parametrize(
    ("command", "kind"),
    [(up.up, LauncherSettings), (parts.gateway, GatewaySettings), (parts.worker, WorkerSettings)],
)
def test_every_setting_is_a_flag_with_its_description_in_the_help(command, kind: type[BaseModel]) -> None:
    options = {option.name: option for option in command.params}
    fields = {**kind.model_fields, **Base.model_fields, **Llm.model_fields}
    assert set(options) - {"no_demo"} == set(fields)
    for name, field in fields.items():
        assert (field.description or name) in options[name].help
        assert f"HELICON_{name.upper()}" in options[name].help


def test_no_two_settings_share_a_name() -> None:
    assert not set(LauncherSettings.model_fields) & ({*Base.model_fields} | {*Llm.model_fields})
    assert not {*Base.model_fields} & {*Llm.model_fields}
    assert set(Settings.model_fields) <= set(LauncherSettings.model_fields)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("up", "-max_token=3"), "-max_token"),
        (("up", "-nope"), "-nope"),
        (("worker", "-charcter=x"), "-charcter"),
        (("up", "--nope"), "--nope"),
        (("up", "--port"), "--port"),
        (("nope",), "nope"),
        (("up", "extra"), "extra"),
        (("gateway", "--port", "x"), "HELICON_PORT"),
        (("worker", "-temperature=9"), "HELICON_TEMPERATURE"),
        (("demo-upstream", "--port", "0"), "--port"),
        (("migrate", "--data", "/nowhere"), "HELICON_DATABASE_URL"),
        (("migrate", "--database-url", "nonsense"), "HELICON_DATABASE_URL"),
    ],
)
def test_a_mistake_is_one_line_that_names_it_and_exit_code_2(outcome, arguments, named: str) -> None:
    code, said = outcome(*arguments)
    assert code == 2
    assert said.startswith("helicon: ")
    assert said.count("\n") == 1
    assert named in said


def test_a_database_that_does_not_answer_is_exit_code_1(monkeypatch: pytest.MonkeyPatch, outcome) -> None:
    real = migrate.bring_up_to_date
    monkeypatch.setattr(migrate, "bring_up_to_date", lambda url: real(url, wait_seconds=0.1))
    code, said = outcome("migrate", "--database-url", "postgresql://nobody:hidden@127.0.0.1:1/none")
    assert (code, said.count("\n")) == (1, 1)
    assert "did not answer within 0.1 s" in said
    assert "hidden" not in said


@pytest.mark.parametrize("arguments", [(), *((name,) for name in cli.COMMANDS)])
def test_every_help_has_an_example(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    monkeypatch.setattr(sys, "argv", ["helicon", *arguments, "--help"])
    assert cli.main() == 0
    assert "Example" in capsys.readouterr().out


def test_help_imports_nothing_that_is_slow() -> None:
    program = (
        "import sys; from services.launcher import cli; sys.argv[1:] = ['--help']; cli.main(); print(*sys.modules)"
    )
    command = [sys.executable, "-c", program]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert not {"pydantic", "sqlalchemy", "alembic", "psycopg", "redis"} & set(told.split())
