"""`spec/ws.md`: the WebSocket."""

from surface.requirements.requirement import Requirement

WS = (
    Requirement("ws.frames", "JSON objects in text frames, one each", 4),
    Requirement("ws.origin", "a foreign Origin is refused unless HELICON_ORIGINS names it", 4),
    Requirement("ws.auth", "first auth within 10 s, answered with ready and the app", 4),
    Requirement("ws.auth-failed", "a wrong key: an unauthorized error, close 4401", 4),
    Requirement("ws.chat", "chat begins a run, every event with id and seq", 4),
    Requirement("ws.many", "any number of runs at once, within the parallel limit", 4),
    Requirement("ws.communicate", "communicate does the same for commands", 4),
    Requirement("ws.resume", "resume gives the events from N + 1 on", 4),
    Requirement("ws.stop", "stop as the route does, answered with ok", 4),
    Requirement("ws.ping", "ping is answered with pong", 4),
    Requirement("ws.error", "errors of a request have its id and the codes of v1; the socket stays", 4),
    Requirement("ws.invalid", "no JSON or an unknown type: invalid_param, three in a row close 1008", 4),
    Requirement("ws.large", "a frame over 1 MiB closes 1009", 4),
    Requirement("ws.heartbeat", "the server pings every 20 s", 4),
    Requirement("ws.shutdown", "closed 1001 at the server's shutdown, 1011 on its own fault", 4),
    Requirement("ws.idle", "closed 4408 after 10 minutes of nothing", 4),
    Requirement("ws.close", "closing the socket ends no run", 4),
)
