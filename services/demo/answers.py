"""What the demo model says: a function of the question, of the faults and of the script. Knows no protocol."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

from services.demo import tokens
from services.demo.faults import Faults, ToolCall
from services.demo.script import ScriptedUsage, ScriptItem

LONGEST_QUOTE = 200
LONGEST_RESULT = 2_000
HISTORY_QUESTION = "what did i say?"

EndReason = Literal["stop", "length", "tool_calls"]


@dataclass(frozen=True, slots=True)
class Turn:
    """A message of the question. A tool's result has the role `tool` in every protocol."""

    role: str
    text: str


@dataclass(frozen=True)
class Question:
    """A call, read from its protocol. `limit` is tokens of the answer."""

    model: str
    turns: tuple[Turn, ...]
    limit: int | None = None
    stops: tuple[str, ...] = ()
    stream: bool = False
    usage_wanted: bool = True
    tools_allowed: bool = True

    @cached_property
    def prompt_tokens(self) -> int:
        """What the question counts."""
        return tokens.count_prompt((turn.role, turn.text) for turn in self.turns)


@dataclass(frozen=True)
class Answer:
    """What is said: text in pieces, then tool calls; why it ends; and a mid-stream error that ends it instead."""

    text: tuple[str, ...] = ()
    calls: tuple[ToolCall, ...] = ()
    reason: EndReason = "stop"
    stop_word: str | None = None
    error: str | dict[str, Any] | None = None
    claimed: ScriptedUsage = field(default_factory=ScriptedUsage)

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        """All that is said in the order of its sending: the text, then each call's name and arguments."""
        said = self.text
        for call in self.calls:
            said = (*said, call.name, *tokens.split(call.arguments))
        return said

    @cached_property
    def tokens(self) -> int:
        """What the answer counts."""
        return tokens.count("".join(self.pieces))

    def usage(self, question: Question) -> tuple[int, int]:
        """The tokens of prompt and completion that are claimed: the true ones, or those of the script."""
        prompt, completion = self.claimed.prompt_tokens, self.claimed.completion_tokens
        return (
            question.prompt_tokens if prompt is None else prompt,
            self.tokens if completion is None else completion,
        )


def compose(question: Question, faults: Faults, item: ScriptItem | None = None) -> Answer:
    """The answer to a question; a script's item says it word by word."""
    if item is None:
        return _answer(question, faults)
    calls = tuple(call.tool_call() for call in item.tool_calls)
    scripted = item.text is not None or calls
    said = _limited(item.text or "", question, calls) if scripted else _answer(question, faults)
    return replace(said, error=item.error, claimed=item.usage)


def _answer(question: Question, faults: Faults) -> Answer:
    if faults.empty:
        return Answer()
    last = question.turns[-1]
    if faults.tool is not None and question.tools_allowed and last.role != "tool":
        return Answer(calls=(faults.tool,), reason="tool_calls")
    if faults.tokens is None:
        return _limited(_reply(question, last), question)
    if question.stops:
        return _limited("".join(tokens.words(faults.tokens)), question)
    if question.limit is not None and question.limit < faults.tokens:
        return Answer(tokens.words(question.limit), reason="length")
    return Answer(tokens.words(faults.tokens))


def _reply(question: Question, last: Turn) -> str:
    if last.role == "tool":
        return f"Demo answer from the tool's result: {last.text[:LONGEST_RESULT]}"
    said = [turn.text for turn in question.turns if turn.role == "user"]
    if said and said[-1].strip().lower() == HISTORY_QUESTION:
        return _history(said[:-1])
    return f"Demo answer to: {said[-1][:LONGEST_QUOTE] if said else ''}"


def _history(said: list[str]) -> str:
    if not said:
        return "Demo answer: you said nothing before."
    quotes = ", ".join(f'"{text[:LONGEST_QUOTE]}"' for text in said)
    return f"Demo answer: you said {quotes}."


def _limited(text: str, question: Question, calls: tuple[ToolCall, ...] = ()) -> Answer:
    """The text up to the first stop word or the limit; tool calls, if there are any, stand behind it."""
    found = [(text.find(word), word) for word in question.stops if word and word in text]
    at, stop_word = min(found) if found else (len(text), None)
    text = text[:at]
    if question.limit is not None and tokens.count(text) > question.limit:
        return Answer(tokens.split(tokens.shorten(text, question.limit)), reason="length")
    return Answer(tokens.split(text), calls, "tool_calls" if calls else "stop", stop_word)
