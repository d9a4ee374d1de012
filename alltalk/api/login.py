"""Signing in with an API key, and links for players that cannot send one."""

from __future__ import annotations

from html import escape
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from alltalk.api.body import FORM, documented, form_fields, json_fields, validated
from alltalk.api.deps import ServiceDep
from alltalk.api.json import JSONResponse
from alltalk.api.keys import COOKIE, COOKIE_PATH, LINK_TTL_S, local_path, signed_path
from alltalk.errors import BadValue, Unauthorized
from alltalk.keys import find_key
from alltalk.tokens import TokenSigner

router = APIRouter(tags=["Operations"])

SIGNED_IN_S = 30 * 24 * 3600
"""Seconds that a page stays signed in."""


class LoginForm(BaseModel):
    """What the page sends."""

    key: str = Field(max_length=1000, description="An API key.")
    next: str = Field("/", description="Where to go then; a path of this server.")


class TokenBody(BaseModel):
    """What a link shall lead to."""

    path: str = Field(description="A path of this server without query, such as /audio/a.wav.")


@router.get("/login", summary="The page that asks for an API key")
async def login_page(next: Annotated[str, Query()] = "/") -> Response:
    """A form; it works without scripts."""
    page = _PAGE.replace("NEXT", escape(local_path(next), quote=True))
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY, "Cache-Control": _NEVER})


@router.post("/login", openapi_extra=documented(LoginForm, *FORM), summary="Sign a page in")
async def login(http: Request, service: ServiceDep) -> Response:
    """Set the cookie that stands for the key, and go on to `next`. 401 for an unknown key."""
    form = validated(LoginForm, await form_fields(http))
    key = find_key(service.config.server.api_keys, form.key.strip())
    if key is None:
        raise Unauthorized("This server does not know that key.")
    signer: TokenSigner = http.app.state.signer
    response = RedirectResponse(local_path(form.next), 303)
    response.set_cookie(
        COOKIE,
        signer.sign(COOKIE_PATH, key, SIGNED_IN_S),
        max_age=SIGNED_IN_S,
        httponly=True,
        samesite="strict",
        secure=http.url.scheme == "https",
    )
    return response


@router.post("/logout", summary="Sign a page out")
async def logout() -> Response:
    """Delete the cookie."""
    response = RedirectResponse("/login", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


@router.post(
    "/api/tokens",
    openapi_extra=documented(TokenBody, "application/json"),
    summary="Sign a link for a player",
)
async def create_token(http: Request) -> Response:
    """`url`: the path with a token that lets anybody GET it for `expires_in` seconds.

    Without API keys it is the path as it is.
    """
    path = validated(TokenBody, await json_fields(http)).path
    if local_path(path) != path or "?" in path:
        raise BadValue("path", "must be a path of this server without query")
    return JSONResponse({"url": signed_path(http, path), "expires_in": int(LINK_TTL_S)})


_NEVER = "no-store"
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'"
)
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>AllTalk: sign in</title>
<style>
  body { font: 1rem/1.5 system-ui, sans-serif; max-width: 24rem; margin: 20vh auto }
  input, button { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem }
</style>
<h1>AllTalk</h1>
<form method="post" action="/login">
  <p><label>API key<input name="key" type="password" required autofocus
    autocomplete="current-password"></label>
  <input name="next" type="hidden" value="NEXT">
  <p><button>Sign in</button>
</form>
"""
