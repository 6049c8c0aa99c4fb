"""The keys that `helicon up` hands to whoever tries it: made once, kept as long as the database knows them."""

import json
from dataclasses import asdict, dataclass

from services.launcher.embedded.data_folder import DataFolder

FILE = "credentials.json"
BUILT_IN_APP = "default"
NAME = "helicon up"


@dataclass(frozen=True)
class Credentials:
    """What a client needs: where, and with which keys."""

    base_url: str
    app_key: str
    admin_key: str

    @property
    def first_chat(self) -> str:
        """A command that works when it is pasted into a shell."""
        return (
            f"curl -N {self.base_url}/v1/chat-messages -H 'Authorization: Bearer {self.app_key}'"
            """ -H 'Content-Type: application/json' -d '{"query": "Hello!", "user": "me","""
            """ "response_mode": "streaming"}'"""
        )


def make_credentials(data: DataFolder, *, database_url: str, base_url: str) -> Credentials:
    """Take the keys of the data folder, make those that are missing or revoked, and write the file anew."""
    from shared.store.engine import open_database  # noqa: PLC0415 - slow to import
    from shared.store.keys import create_key, key_works  # noqa: PLC0415 - as above

    kept = _read(data)
    database = open_database(database_url)
    try:
        with database.write() as session:
            app_key, admin_key = kept.get("app_key", ""), kept.get("admin_key", "")
            if not key_works(session, app_key):
                app_key = create_key(session, kind="app", app=BUILT_IN_APP, name=NAME)
            if not key_works(session, admin_key):
                admin_key = create_key(session, kind="admin", app=None, name=NAME)
    finally:
        database.close()
    credentials = Credentials(base_url, app_key, admin_key)
    data.write_json(FILE, asdict(credentials))
    return credentials


def _read(data: DataFolder) -> dict[str, str]:
    try:
        return dict(json.loads((data.path / FILE).read_text("utf-8")))
    except (FileNotFoundError, ValueError):
        return {}
