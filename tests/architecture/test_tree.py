"""What the tree promises: imports that keep their rules, a README that tells what is, nothing private in it."""

import re
import subprocess
import sys
from pathlib import Path

from settings_table import with_tables

from shared.catalogue.catalogue import load_catalogue
from shared.contracts.live import Base

ROOT = Path(__file__).parents[2]


def test_the_readmes_settings_are_those_that_are_read():
    readme = (ROOT / "README.md").read_text("utf-8")
    assert with_tables(readme) == readme, "run `make readme`"


def test_every_provider_has_a_field_for_its_key_and_a_default_model():
    catalogue = load_catalogue()
    tokens = {name.removesuffix("_token") for name in Base.model_fields if name.endswith("_token")}
    assert tokens == set(catalogue.providers)
    for provider in catalogue.providers.values():
        assert catalogue.model(provider, "").name == provider.default_model


def test_the_lock_files_pin_hashes_and_record_no_addresses():
    for name in ("requirements.lock", "requirements-dev.lock"):
        lines = (ROOT / name).read_text("utf-8").splitlines()
        assert not [line for line in lines if "://" in line or line.startswith("-")]
        pinned = [line for line in lines if re.match(r"[a-z0-9]", line)]
        assert pinned
        assert all(re.fullmatch(r"[a-z0-9._-]+==\S+ .*\\", line) for line in pinned)


def test_a_service_imports_without_the_dependencies_of_the_others():
    forbidden = {"services.gateway.app": ["httpx", "mcp", "rs_bpe"], "services.worker.worker": ["flask", "gunicorn"]}
    for module, others in forbidden.items():
        code = f"import sys, {module}; print([name for name in {others!r} if name in sys.modules])"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert run.stdout.strip() == "[]", module
