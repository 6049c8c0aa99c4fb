"""The settings of the environment and of the flags: joined, checked, and what they mean for the demo upstream."""

from collections.abc import Mapping

from services.launcher.errors import WrongEnvironmentError
from shared.catalogue.catalogue import load_catalogue
from shared.config import PREFIX, ConfigurationError, LauncherSettings, S, read_live_settings, read_settings
from shared.contracts.live import LiveSettings


def with_flags(environ: Mapping[str, str], flags: Mapping[str, str]) -> dict[str, str]:
    """The environment, with the flags in place of what it said."""
    return {**environ, **{PREFIX + name.upper(): value for name, value in flags.items()}}


def check_settings(kind: type[S], environ: Mapping[str, str]) -> S:
    """Read the settings of a part, and the live ones, before anything is started.

    Raises:
        WrongEnvironmentError: one can't be used.
    """
    try:
        read_live_settings(environ)
        return read_settings(kind, environ)
    except ConfigurationError as error:
        raise WrongEnvironmentError(str(error)) from error


def wants_demo(settings: LauncherSettings, live: LiveSettings, environ: Mapping[str, str]) -> bool:
    """Whether the demo upstream stands in for a provider: no key is set, and none was chosen that needs no key."""
    if not settings.demo:
        return False
    if live.base.type == "demo":
        return not environ.get("DEMO_BASE_URL") and not live.base.custom_url
    chosen = environ.get(f"{PREFIX}TYPE") or live.base.custom_url
    has_key = any(live.provider_key(name) for name in load_catalogue().providers if name != "demo")
    return not chosen and not has_key
