"""What the chat application API shows."""

from typing import Any

from services.gateway.streaming.collect import Answer
from services.gateway.streaming.frames import usage_fields
from services.gateway.streaming.runstream import RunIds


def blocking_answer(ids: RunIds, answer: Answer) -> dict[str, Any]:
    """The answer of a chat in blocking mode."""
    return {
        "event": "message",
        "task_id": str(ids.run),
        "id": str(ids.message),
        "message_id": str(ids.message),
        "conversation_id": str(ids.conversation),
        "mode": "chat",
        "answer": answer.text,
        "metadata": {"usage": usage_fields(answer.usage), "retriever_resources": [], "annotation_reply": None},
        "created_at": int(ids.created_at.timestamp()),
    }
