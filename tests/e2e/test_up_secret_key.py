"""`helicon up` makes the secret key and keeps it: what was sealed with it can be opened after a restart."""

import signal
import stat
from pathlib import Path

import httpx

from launched import LaunchedUp
from servers import temporary_folder
from services.launcher.embedded.ports import free_port
from twins import data_of

KEY = "sk-test-0123456789-wxyz"


def launch(data: Path, **environ: str) -> LaunchedUp:
    return LaunchedUp(data, "--port", str(free_port()), environ=environ)


def ask(up: LaunchedUp) -> str:
    """The answer of a provider that needs a key, which the demo upstream plays."""
    headers = {"Authorization": f"Bearer {up.credentials['admin_key']}"}
    url = f"{up.credentials['base_url']}/communicate"
    return httpx.post(url, params={"prompt": "Hello?", "user_id": "ann"}, headers=headers, timeout=60).text


def update(up: LaunchedUp, key: str, value: str) -> None:
    headers = {"Authorization": f"Bearer {up.credentials['admin_key']}"}
    body = {"type": "base", "key": key, "value": value}
    data_of(httpx.post(f"{up.credentials['base_url']}/conf/update", json=body, headers=headers))


def end(up: LaunchedUp) -> None:
    up.send(signal.SIGTERM)
    assert up.wait(30) == 0


def test_the_key_is_made_once_kept_to_ourselves_and_another_one_is_refused():
    with temporary_folder() as folder:
        data = folder / "data"
        with launch(data) as up:
            up.until_ready()
            kept = data / "secret.key"
            secret = kept.read_text()
            assert len(secret) >= 32
            assert stat.S_IMODE(kept.stat().st_mode) == 0o600
            assert secret not in up.text + "".join(up.errors)
            demo = up.find("services.demo").cmdline()[-1]
            update(up, "openai_token", KEY)
            update(up, "custom_url", f"http://127.0.0.1:{demo}/v1")
            update(up, "default_model", "demo")
            update(up, "type", "openai")
            assert "message_end" in ask(up)
            end(up)
        with launch(data, OPENAI_BASE_URL="http://127.0.0.1:9/v1") as up:
            up.until_ready()
            assert kept.read_text() == secret
            demo = up.find("services.demo").cmdline()[-1]
            update(up, "custom_url", f"http://127.0.0.1:{demo}/v1")
            assert "message_end" in ask(up)  # with the key that was sealed before
            end(up)
        with launch(data, HELICON_SECRET_KEY="another") as up:
            assert up.wait(60) == 2
            said = up.text + "".join(up.errors)
            assert "HELICON_SECRET_KEY is not the key that the secrets in this database were sealed with" in said
        assert kept.read_text() == secret
