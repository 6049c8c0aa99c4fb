"""Settings from environment and flags, and whether the demo upstream stands in."""

import pytest

from services.launcher.environment import check_settings, wants_demo, with_flags
from services.launcher.errors import WrongEnvironmentError
from shared.catalogue.catalogue import load_catalogue
from shared.config import GatewaySettings, LauncherSettings, read_live_settings, read_settings


def demo_wanted(environ: dict[str, str]) -> bool:
    return wants_demo(read_settings(LauncherSettings, environ), read_live_settings(environ), environ)


def test_flags_stand_in_place_of_the_environment() -> None:
    environ = {"HELICON_PORT": "1", "HELICON_HOST": "::1", "HOME": "/home"}
    assert with_flags(environ, {"port": "2", "max_tokens": "77"}) == {
        "HELICON_PORT": "2",
        "HELICON_HOST": "::1",
        "HELICON_MAX_TOKENS": "77",
        "HOME": "/home",
    }


@pytest.mark.parametrize("environ", [{"HELICON_PORT": "x"}, {"HELICON_MAX_TOKENS": "0"}, {"HELICON_TYPE": "nobody"}])
def test_a_bad_setting_is_named(environ: dict[str, str]) -> None:
    name = next(iter(environ))
    with pytest.raises(WrongEnvironmentError, match=name):
        check_settings(GatewaySettings, environ)


def test_a_bad_secret_is_named_but_not_shown() -> None:
    with pytest.raises(WrongEnvironmentError) as caught:
        check_settings(GatewaySettings, {"HELICON_MAX_TOKENS": "0", "HELICON_OPENAI_TOKEN": "sk-secret"})
    assert "sk-secret" not in str(caught.value)


def test_the_demo_stands_in_when_nothing_is_set() -> None:
    assert demo_wanted({})
    assert not demo_wanted({"HELICON_DEMO": "off"})


@pytest.mark.parametrize("provider", [row for row in load_catalogue().providers.values() if row.name != "demo"])
def test_the_demo_steps_back_for_any_key_and_any_choice(provider) -> None:
    assert not demo_wanted({provider.key_env: "sk-1"})
    assert not demo_wanted({f"HELICON_{provider.name.upper()}_TOKEN": "sk-1"})
    assert not demo_wanted({"HELICON_TYPE": provider.name})


def test_the_demo_steps_back_for_a_url() -> None:
    assert not demo_wanted({"HELICON_CUSTOM_URL": "http://127.0.0.1:1/v1"})


def test_the_demo_is_started_when_it_is_chosen_unless_it_runs_elsewhere() -> None:
    assert demo_wanted({"HELICON_TYPE": "demo", "OPENAI_API_KEY": "sk-1"})
    assert not demo_wanted({"HELICON_TYPE": "demo", "DEMO_BASE_URL": "http://127.0.0.1:1/v1"})
