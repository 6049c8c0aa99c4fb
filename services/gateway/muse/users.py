"""`/user/*`: users, their tokens and their models."""

from flask import Blueprint

from services.gateway.gateway import Gateway
from services.gateway.muse.door import Administrator, Door
from services.gateway.muse.presenter import as_list
from services.gateway.muse.schemas import ModeIn, TokensIn, UsersIn


def user_routes(gateway: Gateway) -> Blueprint:
    """The routes of users."""
    routes = Blueprint("muse_users", __name__)
    door = Door(gateway, routes)

    @door.post_json("/user/token/add", takes=TokensIn)
    def add_tokens(asks: Administrator, asked: TokensIn) -> None:
        gateway.users.add_tokens(asks.actor, asks.app, asked.user_id, asked.token)

    @door.get("/user/list", takes=UsersIn)
    def users(asks: Administrator, asked: UsersIn) -> object:
        return as_list(gateway.users.page(asks.app, asked.user_id, skip=asked.skip, take=asked.page_size))

    @door.post_form("/user/update/mode", takes=ModeIn)
    def choose_mode(asks: Administrator, asked: ModeIn) -> None:
        gateway.users.choose_mode(asks.actor, asks.app, asked.user_id, asked.mode)

    return routes
