"""Secrets at rest: sealed with a key that is derived from `HELICON_SECRET_KEY`, AES-256-GCM.

A sealed secret names nothing of what it is for, but can be opened for that alone: one that was copied into another row
stays shut.
"""

import base64
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from shared.store.models import Installation

NONCE_BYTES = 12
_PURPOSE = b"helicon: secrets at rest"
_WORD = "helicon"
"""What is sealed in the installation's row, to know the key by."""


class WrongSecretKeyError(Exception):
    """What was sealed was sealed with another secret key."""


class Sealer:
    """Seals and opens secrets.

    Args:
        secret_key: of the installation, any text that nobody can guess.
    """

    def __init__(self, secret_key: str) -> None:
        derivation = HKDF(SHA256(), length=32, salt=None, info=_PURPOSE)
        self._cipher = AESGCM(derivation.derive(secret_key.encode()))

    def seal(self, secret: str, purpose: str) -> str:
        """Seal a secret for a purpose, such as `base.openai_token`."""
        nonce = os.urandom(NONCE_BYTES)
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, secret.encode(), purpose.encode())).decode()

    def open(self, sealed: str, purpose: str) -> str:
        """Open what was sealed for the same purpose.

        Raises:
            WrongSecretKeyError: it was sealed with another key, for another purpose, or not at all.
        """
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], purpose.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise WrongSecretKeyError(purpose) from error


def check_secret_key(session: Session, sealer: Sealer) -> None:
    """Refuse a secret key that is not the installation's; the first one that comes is.

    Raises:
        WrongSecretKeyError: it is another one.
    """
    first = func.coalesce(Installation.seal, sealer.seal(_WORD, _WORD))
    session.execute(update(Installation).values(seal=first))
    sealer.open(session.scalars(select(Installation.seal)).one() or "", _WORD)
