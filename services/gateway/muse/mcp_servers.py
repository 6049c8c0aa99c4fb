"""`/mcp/*`: the configuration of MCP servers."""

from flask import Blueprint
from pydantic import BaseModel

from services.gateway.gateway import Gateway
from services.gateway.muse.door import Administrator, Door
from services.gateway.muse.schemas import McpDisableIn, McpServerIn, McpUpdateIn, Nothing


def mcp_server_routes(gateway: Gateway) -> Blueprint:
    """The routes of the MCP servers' configuration."""
    routes = Blueprint("muse_mcp_servers", __name__)
    door = Door(gateway, routes)

    @door.get("/mcp/get", takes=Nothing)
    def get(_asks: Administrator, _asked: BaseModel) -> object:
        return gateway.mcp_servers.shown()

    @door.post_document("/mcp/update", takes=McpUpdateIn)
    def update(asks: Administrator, asked: McpUpdateIn) -> object:
        gateway.mcp_servers.update(asks.actor, asked.name, asked.document)
        return ""

    @door.delete("/mcp/delete", takes=McpServerIn)
    def delete(asks: Administrator, asked: McpServerIn) -> object:
        gateway.mcp_servers.delete(asks.actor, asked.name)
        return ""

    @door.post_form("/mcp/disable", takes=McpDisableIn)
    def disable(asks: Administrator, asked: McpDisableIn) -> object:
        gateway.mcp_servers.disable(asks.actor, asked.name, disabled=asked.disable == "1")
        return ""

    return routes
