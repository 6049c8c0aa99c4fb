"""`/conf/*` and `/command/get`: the live configuration."""

from flask import Blueprint
from pydantic import BaseModel

from services.gateway.gateway import Gateway
from services.gateway.muse.door import Administrator, Door
from services.gateway.muse.schemas import ChangeIn, Nothing, SettingIn


def configuration_routes(gateway: Gateway) -> Blueprint:
    """The routes of the live configuration."""
    routes = Blueprint("muse_configuration", __name__)
    door = Door(gateway, routes)

    @door.get("/conf/get", takes=Nothing)
    def get(_asks: Administrator, _asked: BaseModel) -> object:
        return gateway.configuration.shown()

    @door.post_json("/conf/update", takes=ChangeIn)
    def update(asks: Administrator, asked: ChangeIn) -> object:
        gateway.configuration.update(asks.actor, asked.type, asked.key, asked.value)
        return ""

    @door.post_json("/conf/reset", takes=SettingIn)
    def reset(asks: Administrator, asked: SettingIn) -> object:
        gateway.configuration.reset(asks.actor, asked.type, asked.key)
        return ""

    @door.get("/command/get", takes=Nothing)
    def command(_asks: Administrator, _asked: BaseModel) -> object:
        return gateway.configuration.flags()

    return routes
