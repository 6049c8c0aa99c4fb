"""`/record/list`: the turns of an app's users."""

from flask import Blueprint

from services.gateway.gateway import Gateway
from services.gateway.muse.door import Administrator, Door
from services.gateway.muse.presenter import as_list
from services.gateway.muse.schemas import RecordsIn


def record_routes(gateway: Gateway) -> Blueprint:
    """The routes of records."""
    routes = Blueprint("muse_records", __name__)
    door = Door(gateway, routes)

    @door.get("/record/list", takes=RecordsIn)
    def records(asks: Administrator, asked: RecordsIn) -> object:
        page = gateway.records.page(
            asks.app,
            user=asked.user_id,
            types=asked.record_type,
            deleted=asked.is_deleted,
            skip=asked.skip,
            take=asked.page_size,
        )
        return as_list(page)

    return routes
