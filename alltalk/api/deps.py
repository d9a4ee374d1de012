"""What routes are given: the service, the ticket of the request, and who may ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from starlette.requests import HTTPConnection

from alltalk.answers import Answers
from alltalk.api.keys import role_of
from alltalk.autoplay import Autoplay
from alltalk.control import Control
from alltalk.conversion import Conversions
from alltalk.errors import Forbidden
from alltalk.keys import Role
from alltalk.long_texts import LongTexts
from alltalk.service import SpeechService
from alltalk.speech import Ticket
from alltalk.studio import Studio


@dataclass(frozen=True, slots=True)
class Given:
    """What a route that speaks needs, as one dependency: each costs a request some 20 µs."""

    service: SpeechService
    answers: Answers
    """The service behind its cache."""
    studio: Studio
    """Where voices are made."""
    ticket: Ticket
    """How this request is served: its id, and whom it belongs to."""


async def given(http: HTTPConnection) -> Given:
    """Async, as all dependencies here: others cost a thread each."""
    state = http.app.state
    return Given(state.service, state.answers, state.studio, _ticket(http, state.service))


GivenDep = Annotated[Given, Depends(given)]


async def service_of(http: HTTPConnection) -> SpeechService:
    """The service that the application was built with."""
    service: SpeechService = http.app.state.service
    return service


ServiceDep = Annotated[SpeechService, Depends(service_of)]


async def studio_of(http: HTTPConnection) -> Studio:
    """Where voices are made."""
    studio: Studio = http.app.state.studio
    return studio


StudioDep = Annotated[Studio, Depends(studio_of)]


async def conversions_of(http: HTTPConnection) -> Conversions:
    """What voices can be converted to."""
    conversions: Conversions = http.app.state.conversions
    return conversions


ConversionsDep = Annotated[Conversions, Depends(conversions_of)]


async def long_texts_of(http: HTTPConnection) -> LongTexts:
    """Documents, and their being spoken."""
    long_texts: LongTexts = http.app.state.long_texts
    return long_texts


LongTextsDep = Annotated[LongTexts, Depends(long_texts_of)]


async def ticket_of(http: HTTPConnection, service: ServiceDep) -> Ticket:
    """How this request is served: its id, and whom it belongs to."""
    return _ticket(http, service)


TicketDep = Annotated[Ticket, Depends(ticket_of)]


def _ticket(http: HTTPConnection, service: SpeechService) -> Ticket:
    scope = http.scope
    key, address = scope["alltalk.key"], scope["client"][0] if scope["client"] else ""
    return Ticket(
        id=scope["alltalk.id"],
        tag=scope["alltalk.tag"],
        client=key.name if key else address,
        named=key is not None,
        door=scope["path"],
        deadline_s=service.config.admission.deadline_s,
    )


async def control_of(http: HTTPConnection) -> Control:
    """What changes the engine and the settings."""
    control: Control = http.app.state.control
    return control


ControlDep = Annotated[Control, Depends(control_of)]


async def autoplay_of(http: HTTPConnection) -> Autoplay:
    """The server's own speaker."""
    autoplay: Autoplay = http.app.state.autoplay
    return autoplay


AutoplayDep = Annotated[Autoplay, Depends(autoplay_of)]


def at_least(role: Role) -> Any:
    """A dependency of routes for callers of this role, where keys say who calls. Else Forbidden.

    Without keys these routes are as open as V2's.
    """

    async def check(http: HTTPConnection) -> None:
        if http.scope["alltalk.key"] is not None and role_of(http.scope) < role:
            raise Forbidden(f"This takes an API key with the role {role.name.lower()}.")

    return Depends(check)
