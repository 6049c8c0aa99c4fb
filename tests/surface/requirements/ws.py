"""`spec/ws.md`: the WebSocket."""

from surface.requirements.requirement import Requirement

WS = (
    Requirement("ws.frames", "JSON objects in text frames, one each"),
    Requirement("ws.origin", "a foreign Origin is refused unless HELICON_ORIGINS names it"),
    Requirement("ws.auth", "first auth within 10 s, answered with ready and the app"),
    Requirement("ws.auth-failed", "a wrong key: an unauthorized error, close 4401"),
    Requirement("ws.chat", "chat begins a run, every event with id and seq"),
    Requirement("ws.many", "any number of runs at once, within the parallel limit"),
    Requirement("ws.communicate", "communicate does the same for commands"),
    Requirement("ws.resume", "resume gives the events from N + 1 on"),
    Requirement("ws.stop", "stop as the route does, answered with ok"),
    Requirement("ws.ping", "ping is answered with pong"),
    Requirement("ws.error", "errors of a request have its id and the codes of v1; the socket stays"),
    Requirement("ws.invalid", "no JSON or an unknown type: invalid_param, three in a row close 1008"),
    Requirement("ws.large", "a frame over 1 MiB closes 1009"),
    Requirement("ws.heartbeat", "the server pings every 20 s"),
    Requirement("ws.shutdown", "closed 1001 at the server's shutdown, 1011 on its own fault"),
    Requirement("ws.idle", "closed 4408 after 10 minutes of nothing"),
    Requirement("ws.close", "closing the socket ends no run"),
)
