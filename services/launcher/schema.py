"""The database's schema, as the command line brings it up to date: failures become one line."""

from services.launcher.errors import LauncherError, WrongEnvironmentError


def migrate(database_url: str, *, wait_seconds: float = 60) -> None:
    """Bring the database to this version's schema.

    Raises:
        WrongEnvironmentError: it is of a newer version, or the URL is none.
        LauncherError: Postgres did not answer in time.
    """
    from sqlalchemy.exc import ArgumentError, OperationalError  # noqa: PLC0415 - slow to import

    from shared.store.schema import SchemaTooNewError, upgrade  # noqa: PLC0415 - as above

    try:
        upgrade(database_url, wait_seconds=wait_seconds)
    except SchemaTooNewError as error:
        raise WrongEnvironmentError(str(error)) from error
    except ArgumentError as error:
        raise WrongEnvironmentError(
            "HELICON_DATABASE_URL is no URL of a Postgres: postgresql://user:password@host/name"
        ) from error
    except OperationalError as error:
        said = str(error.orig).strip().splitlines()
        raise LauncherError(
            f"Postgres did not answer within {wait_seconds:g} s: {said[0] if said else error}"
        ) from error
