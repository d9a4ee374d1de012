"""Who may call what, from where: keys, CORS, the guard, ids, and what is told of failures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.responses import StreamingResponse

from alltalk.api import errors, login
from alltalk.api.guard import known_host
from alltalk.api.keys import role_of, signed_path
from alltalk.api.security import around
from alltalk.config import Config
from alltalk.errors import SynthesisFailed, UnknownVoice
from alltalk.keys import ApiKey, Role, hashed
from alltalk.logs import Reported
from alltalk.metrics import Metrics
from alltalk.serving.admission import Admission
from alltalk.serving.backend_store import BackendStore
from alltalk.serving.pool import BackendPool
from alltalk.serving.requests import Requests
from alltalk.tokens import TokenSigner

EVIL = {"Origin": "https://evil.example"}
GUARDED = [
    ("POST", "/API/ListBackends"),
    ("GET", "/API/ListBackends"),
    ("POST", "/update-settings"),
    ("POST", "/admin/reload-voices"),
    ("POST", "/v1/voices"),
    ("PATCH", "/v1/voices/a"),
    ("POST", "/v1/rvc-voices"),
    ("DELETE", "/api/requests/1"),
    ("POST", "/ui/queue/join"),
    ("POST", "/login"),
]
PUBLIC = [
    ("POST", "/v1/audio/speech"),
    ("GET", "/v1/voices"),
    ("GET", "/api/voices"),
    ("POST", "/api/tts-generate"),
    ("POST", "/api/reload"),
    ("PUT", "/api/stop-generation"),
    ("GET", "/audio/a.wav"),
    ("GET", "/docs"),
]


class Site:
    """A small application behind everything that stands before the real one."""

    def __init__(self, server: Mapping[str, object]) -> None:
        self.config = Config.model_validate({"server": server})
        pool = BackendPool(lambda spec: None, BackendStore(None, []))
        self.metrics = Metrics(pool, Requests(), Admission(10, 1000))
        self.signer = TokenSigner(bytes(range(32)))
        self.app = FastAPI(docs_url=None, redoc_url=None)
        self.app.state.signer = self.signer
        self.app.state.service = SimpleNamespace(config=self.config)
        errors.install(self.app)
        self.app.include_router(login.router)
        self.app.add_api_route("/v1/fail", _fail, methods=["GET", "POST"])
        self.app.add_api_route("/v1/bug", _bug)
        self.app.add_api_route("/v1/cut", _cut)
        self.app.add_api_route("/{path:path}", _who, methods=["GET", "POST", "PUT", "PATCH"])
        self.app.add_api_route("/{path:path}", _who, methods=["DELETE"])
        self.asgi = around(
            self.app,
            config=lambda: self.config,
            metrics=self.metrics,
            signer=self.signer,
            largest_body=lambda path: 1000,
        )

    def caller(self, address: str = "127.0.0.1", base: str = "http://localhost:7851"):
        """A client at `address` that calls the server by `base`."""
        transport = httpx.ASGITransport(self.asgi, client=(address, 1), raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url=base)


async def _who(request: Request) -> dict[str, object]:
    key = request.scope["alltalk.key"]
    path = request.url.path
    return {
        "name": key.name if key else None,
        "role": role_of(request.scope).name,
        "proof": request.scope["alltalk.proof"],
        "link": signed_path(request, path),
    }


async def _fail() -> None:
    raise UnknownVoice("nobody", "tone", ["low"])


async def _bug() -> None:
    raise ZeroDivisionError


async def _cut() -> StreamingResponse:
    async def sound():
        yield b"RIFF"
        raise SynthesisFailed("The engine stopped.")

    return StreamingResponse(sound())


def keys(**roles: str) -> list[dict[str, str]]:
    """Keys as settings hold them: the key of `name` is `key-of-<name>`."""
    return [
        {"name": name, "hash": hashed(f"key-of-{name}"), "role": role}
        for name, role in roles.items()
    ]


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer key-of-{name}"}


@pytest.fixture
def open_site() -> Site:
    """No key is set."""
    return Site({})


@pytest.fixture
def locked_site() -> Site:
    """Two keys are set."""
    return Site({"api_keys": keys(phone="user", boss="admin")})


# Keys


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer ", "Bearer sk-dummy", "Basic eDp5"])
async def test_any_authorization_is_fine_while_no_key_is_set(open_site, sent):
    headers = {} if sent is None else {"Authorization": sent}
    async with open_site.caller() as http:
        assert (await http.post("/v1/audio/speech", headers=headers)).status_code == 200


@pytest.mark.parametrize("sent", [None, "", "Bearer", "Bearer wrong", "Basic a2V5LW9mLXBob25l"])
@pytest.mark.parametrize(("method", "path"), [*PUBLIC[:-1], *GUARDED[:-1], ("GET", "/metrics")])
async def test_once_a_key_is_set_every_route_wants_one(locked_site, sent, method, path):
    headers = {} if sent is None else {"Authorization": sent}
    async with locked_site.caller() as http:
        answer = await http.request(method, path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("path", ["/api/ready", "/health", "/static/tts/page.html", "/login"])
async def test_whether_the_server_is_there_and_static_pages_need_no_key(locked_site, path):
    async with locked_site.caller() as http:
        assert (await http.get(path)).status_code == 200


@pytest.mark.parametrize("path", ["/health/../v1/models", "/staticky", "/api/ready/x", "//health"])
async def test_what_only_looks_open_is_not(locked_site, path):
    async with locked_site.caller() as http:
        assert (await http.get(path)).status_code == 401


async def test_a_missing_key_is_told_in_the_shape_of_each_api(locked_site):
    async with locked_site.caller() as http:
        openai = (await http.post("/v1/audio/speech")).json()
        v2 = (await http.get("/api/voices")).json()
    assert openai["error"]["type"] == "authentication_error"
    assert v2["status"] == "error"
    assert "alltalk keys add" in v2["message"]


async def test_a_key_opens_with_its_name_and_role(locked_site):
    async with locked_site.caller(address="192.0.2.1") as http:
        phone = (await http.get("/v1/models", headers=bearer("phone"))).json()
        boss = (await http.get("/v1/models", headers=bearer("boss"))).json()
    assert (phone["name"], phone["role"]) == ("phone", "USER")
    assert (boss["name"], boss["role"]) == ("boss", "ADMIN")


async def test_a_removed_key_closes_at_once_with_all_it_opened(locked_site):
    async with locked_site.caller() as http:
        link = (await http.get("/audio/a.wav", headers=bearer("phone"))).json()["link"]
        assert (await http.get(link)).status_code == 200
        locked_site.config = Config.model_validate({"server": {"api_keys": keys(boss="admin")}})
        assert (await http.get("/v1/models", headers=bearer("phone"))).status_code == 401
        assert (await http.get(link)).status_code == 401


@pytest.mark.parametrize(
    ("address", "headers", "role"),
    [
        ("127.0.0.1", {}, "ADMIN"),
        ("::1", {}, "ADMIN"),
        ("::ffff:127.0.0.1", {}, "ADMIN"),
        ("192.168.1.5", {}, "USER"),
        ("testclient", {}, "USER"),
        ("127.0.0.1", {"X-Forwarded-For": "198.51.100.7"}, "USER"),
        ("127.0.0.1", {"Forwarded": "for=198.51.100.7"}, "USER"),
    ],
)
async def test_without_keys_this_machine_is_admin_and_nobody_else(
    open_site, address, headers, role
):
    async with open_site.caller(address=address) as http:
        assert (await http.get("/v1/models", headers=headers)).json()["role"] == role


# Tokens and cookies


async def test_a_link_opens_its_path_for_reading_and_nothing_else(locked_site):
    async with locked_site.caller() as http:
        link = (await http.get("/audio/a b.wav", headers=bearer("boss"))).json()["link"]
        token = link.partition("?")[2]
        opened = (await http.get(link)).json()
        assert (opened["name"], opened["role"], opened["proof"]) == ("boss", "USER", "token")
        assert (await http.head(link)).status_code != 401
        for method, path in (("GET", "/audio/b.wav"), ("POST", "/audio/a b.wav")):
            assert (await http.request(method, f"{path}?{token}")).status_code == 401


async def test_links_are_plain_where_no_key_is_needed(open_site):
    async with open_site.caller() as http:
        assert (await http.get("/audio/a.wav")).json()["link"] == "/audio/a.wav"


async def test_a_holder_of_a_key_has_a_link_signed(locked_site):
    async with locked_site.caller() as http:
        path = {"path": "/api/tts-generate-streaming"}
        answer = await http.post("/api/tokens", json=path, headers=bearer("phone"))
        url = answer.json()["url"]
        assert (await http.get(f"{url}&text=hello")).status_code == 200
        for wrong in ("//evil.example/a", "https://evil.example", "/a?b=c", "audio"):
            answer = await http.post("/api/tokens", json={"path": wrong}, headers=bearer("phone"))
            assert answer.status_code == 400


async def test_a_page_signs_in_with_a_key_and_out_again(locked_site):
    async with locked_site.caller() as http:
        asked = await http.get("/ui/voices", headers={"Accept": "text/html"})
        assert asked.headers["location"] == "/login?next=/ui/voices"
        form = await http.get(asked.headers["location"])
        assert 'value="/ui/voices"' in form.text
        answer = await http.post("/login", data={"key": "key-of-boss", "next": "/ui/voices"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/voices")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert "key-of-boss" not in cookie
        assert (await http.get("/ui/voices")).json()["role"] == "ADMIN"
        await http.post("/logout")
        assert (await http.get("/ui/voices")).status_code == 401


async def test_a_wrong_key_signs_nobody_in(locked_site):
    async with locked_site.caller() as http:
        answer = await http.post("/login", data={"key": "guess", "next": "/"})
    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("next", ["//evil.example", "/\\evil.example", "https://evil.example", "x"])
async def test_signing_in_never_leads_to_another_server(locked_site, next):
    async with locked_site.caller() as http:
        answer = await http.post("/login", data={"key": "key-of-boss", "next": next})
    assert answer.headers["location"] == "/"


@pytest.mark.parametrize(
    "headers",
    [EVIL, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
)
async def test_a_cookie_counts_for_our_own_pages_only(locked_site, headers):
    async with locked_site.caller() as http:
        await http.post("/login", data={"key": "key-of-boss"})
        assert (await http.get("/v1/models")).status_code == 200
        assert (await http.get("/v1/models", headers=headers)).status_code == 401


async def test_a_links_token_is_no_cookie(locked_site):
    async with locked_site.caller() as http:
        link = (await http.get("/", headers=bearer("boss"))).json()["link"]
        cookie = {"Cookie": f"alltalk_session={link.partition('=')[2]}"}
        assert (await http.get("/v1/models", headers=cookie)).status_code == 401


# CORS


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:8000"])
@pytest.mark.parametrize(("method", "path"), PUBLIC)
async def test_pages_of_any_origin_may_use_the_public_routes(open_site, origin, method, path):
    async with open_site.caller() as http:
        preflight = await http.options(
            path,
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": "authorization, cache-control, x-stainless-os",
            },
        )
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "*"
        assert method in preflight.headers["access-control-allow-methods"]
        assert "x-stainless-os" in preflight.headers["access-control-allow-headers"]
        answer = await http.request(method, path, headers={"Origin": origin})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize(("path", "status"), [("/v1/fail", 400), ("/v1/bug", 500)])
async def test_pages_may_read_errors_too(open_site, path, status):
    async with open_site.caller() as http:
        answer = await http.get(path, headers=EVIL)
    assert answer.status_code == status
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "X-Request-ID" in answer.headers["access-control-expose-headers"]


async def test_a_refusal_for_want_of_a_key_can_be_read_by_pages(locked_site):
    async with locked_site.caller() as http:
        answer = await http.get("/v1/models", headers=EVIL)
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (401, "*")


async def test_settings_narrow_the_origins_and_a_change_is_followed(open_site):
    def narrowed(*origins: str) -> Config:
        return Config.model_validate({"server": {"cors_allow_origins": list(origins)}})

    async with open_site.caller() as http:
        open_site.config = narrowed("https://good.example")
        good = await http.get("/api/voices", headers={"Origin": "https://good.example"})
        evil = await http.get("/api/voices", headers=EVIL)
        assert good.headers["access-control-allow-origin"] == "https://good.example"
        assert "access-control-allow-origin" not in evil.headers
        open_site.config = narrowed("https://evil.example")
        evil = await http.get("/api/voices", headers=EVIL)
        assert evil.headers["access-control-allow-origin"] == "https://evil.example"
        open_site.config = narrowed()
        evil = await http.get("/api/voices", headers=EVIL)
        assert "access-control-allow-origin" not in evil.headers


# The guard


@pytest.mark.parametrize(
    "headers",
    [
        EVIL,
        {"Origin": "null"},
        {"Origin": "http://localhost:8000"},
        {"Origin": "http://[bad"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:8000"},
        {"Host": "evil.example:7851"},
        {"Host": "evil.example:7851", "Origin": "http://evil.example:7851"},
    ],
)
@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_other_peoples_pages_may_not_change_the_server(open_site, headers, method, path):
    async with open_site.caller() as http:
        answer = await http.request(method, path, headers=headers)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:7851"},
        {"Origin": "https://localhost:7851"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://tts.example"},
        {"Sec-Fetch-Site": "none"},
    ],
)
@pytest.mark.parametrize(("method", "path"), GUARDED[:-1])
async def test_our_own_pages_and_programs_may(open_site, headers, method, path):
    async with open_site.caller() as http:
        assert (await http.request(method, path, headers=headers)).status_code == 200


@pytest.mark.parametrize(("method", "path"), GUARDED)
async def test_a_guarded_route_gives_no_leave_to_other_pages_beforehand(open_site, method, path):
    async with open_site.caller() as http:
        asked = {**EVIL, "Access-Control-Request-Method": method}
        answer = await http.options(path, headers=asked)
    assert "access-control-allow-origin" not in answer.headers


async def test_a_page_with_a_key_may_whatever_its_origin(locked_site):
    asked = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    async with locked_site.caller(base="http://tts.example") as http:
        assert (await http.options("/v1/voices", headers={**EVIL, **asked})).status_code == 200
        answer = await http.post("/v1/voices", headers={**EVIL, **bearer("phone")})
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert (await http.post("/v1/voices", headers=EVIL)).status_code == 401


async def test_a_link_to_our_pages_may_stand_anywhere(open_site):
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    async with open_site.caller() as http:
        assert (await http.get("/ui", headers=followed)).status_code == 200
        assert (await http.get("/login", headers=followed)).status_code == 200


async def test_a_proxys_name_works_once_it_is_listed():
    site = Site({"allowed_hosts": ["tts.example"]})
    async with site.caller(base="https://tts.example") as http:
        assert (await http.post("/API/ListBackends")).status_code == 200
    async with site.caller(base="https://other.example") as http:
        answer = await http.post("/API/ListBackends")
    assert answer.status_code == 403
    assert "server.allowed_hosts" in answer.text


async def test_names_are_checked_everywhere_once_the_origins_are_narrowed():
    site = Site({"cors_allow_origins": ["https://good.example"]})
    async with site.caller(base="http://evil.example:7851") as http:
        assert (await http.get("/api/voices")).status_code == 403
        assert (await http.get("/health")).status_code == 200
    async with site.caller() as http:
        assert (await http.get("/api/voices")).status_code == 200


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1:7851", True),
        ("192.168.1.5", True),
        ("[::1]:7851", True),
        ("[fe80::1%eth0]", True),
        ("localhost", True),
        ("LOCALHOST:80", True),
        ("tts.localhost", True),
        ("alltalk:7851", True),
        ("box.local.", True),
        ("my.example", True),
        ("a.sub.example", True),
        ("", True),
        ("sub.example", False),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:7851", False),
        ("my.example.evil.example", False),
        ("[evil.example]", False),
        ("[::1", False),
        ("127.0.0.1:7851@evil.example", False),
    ],
)
def test_a_name_that_anybody_can_register_is_not_ours(host, known):
    assert known_host(host, ["my.example", "*.sub.example"]) is known


# Ids, metrics, the log


async def test_each_answer_has_an_id_of_ours_and_the_callers_tag(open_site):
    async with open_site.caller() as http:
        first = await http.get("/v1/fail", headers={"X-Request-ID": "mine-1"})
        second = await http.get("/v1/models", headers={"X-Request-ID": "bad id"})
    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert first.headers["x-request-tag"] == "mine-1"
    assert "x-request-tag" not in second.headers


async def test_requests_are_counted_by_route_not_by_path(open_site):
    async with open_site.caller() as http:
        for number in range(5):
            await http.get(f"/audio/{number}.wav")
        await http.get("/v1/fail")
    text = open_site.metrics.text().decode()
    assert 'alltalk_requests_total{endpoint="/{path:path}",method="GET",status="200"} 5.0' in text
    assert 'alltalk_errors_total{type="UnknownVoice"} 1.0' in text
    assert "3.wav" not in text


async def test_a_request_is_one_line_without_its_query(open_site, caplog):
    caplog.set_level(logging.INFO, "alltalk")
    async with open_site.caller() as http:
        await http.get("/api/tts?text=secret&token=hush", headers={"X-Request-ID": "mine"})
        await http.get("/api/ready")
    (line,) = [each for each in caplog.records if each.name == "alltalk.api.observe"]
    assert line.getMessage().startswith("GET /api/tts 200 in ")
    assert line.getMessage().endswith(" ms mine")
    assert line.fields["status"] == 200
    assert "secret" not in caplog.text
    assert "hush" not in caplog.text


async def test_a_failure_after_the_first_byte_is_one_clear_line_and_a_cut(open_site, caplog):
    caplog.set_level(logging.INFO, "alltalk")
    transport = httpx.ASGITransport(open_site.asgi)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        with pytest.raises(Reported, match="already started"):
            await http.get("/v1/cut")
    failed, line = [each for each in caplog.records if each.name == "alltalk.api.observe"]
    assert failed.getMessage() == (
        "GET /v1/cut failed after its answer had begun: The engine stopped."
    )
    assert failed.exc_info is None
    assert line.getMessage().endswith(" ms (cut)")
    assert 'alltalk_errors_total{type="SynthesisFailed"} 1.0' in open_site.metrics.text().decode()


async def test_a_bug_is_told_once_with_its_traceback(open_site, caplog):
    caplog.set_level(logging.INFO, "alltalk")
    async with open_site.caller() as http:
        assert (await http.get("/v1/bug")).status_code == 500
    (failed,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert failed.exc_info[0] is ZeroDivisionError
    assert 'alltalk_errors_total{type="Unexpected"} 1.0' in open_site.metrics.text().decode()


async def test_requests_at_once_do_not_mix_their_callers(locked_site):
    async with locked_site.caller() as http:

        async def name_of(name: str) -> str:
            return (await http.get("/v1/models", headers=bearer(name))).json()["name"]

        wanted = ["phone", "boss"] * 20
        assert await asyncio.gather(*map(name_of, wanted)) == wanted


def test_the_scope_of_a_request_without_our_layers_has_the_least_role():
    assert role_of({"type": "http"}) is Role.USER
    assert ApiKey("a", hashed("k")).role == "user"
