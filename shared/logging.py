"""Log lines: a fixed event name and fields; ids, never prompts, answers or secrets."""

import logging
import sys
from typing import Any, Literal

import orjson
import structlog


def configure_logging(level: str, style: Literal["auto", "json", "text"]) -> None:
    """Send structlog's and the libraries' lines to stderr, as JSON or readable for people.

    Our own lines do not pass through the standard library's loggers: each request and each run writes one, and it
    would take three times as long.
    """
    as_text = style == "text" or (style == "auto" and sys.stderr.isatty())
    renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()) if as_text else _JSON
    structlog.configure(
        processors=[*_FIELDS, structlog.processors.format_exc_info, renderer],
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    _configure_libraries(level, renderer)


def _configure_libraries(level: str, renderer: structlog.typing.Processor) -> None:
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_FIELDS, structlog.stdlib.ExtraAdder()],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Celery's lines on each task say less than a run's own.
    for noisy in ("httpx", "alembic", "kombu", "aiohttp.access", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _dumps(fields: dict[str, Any], **_options: object) -> str:
    return orjson.dumps(fields, default=str).decode()


_FIELDS: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]
_JSON = structlog.processors.JSONRenderer(serializer=_dumps)
