"""The audit: every change that an administrator made."""

from sqlalchemy.orm import Session

from shared.store.models import AuditEntry


def record_change(session: Session, actor: str, action: str, target: str, *, old: object, new: object) -> None:
    """Note a change in the transaction that makes it.

    Args:
        session: writes the change itself.
        actor: who: the prefix of their key, "" where none was asked for.
        action: what they did, such as `conf.update`.
        target: to what, such as `base.lang`.
        old: how it was, as JSON can write it, secrets masked; None where it was not.
        new: how it is now, likewise.
    """
    session.add(AuditEntry(actor=actor, action=action, target=target, old=old, new=new))
    session.flush()
