"""What the Engines page shows of the catalogue of models. Pure; nothing here knows of events."""

from __future__ import annotations

import html
from collections.abc import Collection, Iterable, Mapping, Sequence

from alltalk.models import InstallState, InstallView, ListedModel, ModelState
from alltalk.models.advice import FIRST
from alltalk.ui.long_text_view import shown_text
from alltalk.ui.parts import table_html

RECOMMENDED, ALL = "", "*"
"""What is listed where no engine is chosen."""
SHOWN_LANGUAGES = 5
_STATES = {
    ModelState.ABSENT: "",
    ModelState.PARTIAL: "partly here",
    ModelState.DAMAGED: "damaged: install it again",
    ModelState.INSTALLED: "installed",
}


def selected(models: Iterable[ListedModel], engine: str, language: str) -> list[ListedModel]:
    """Those of one engine, or of ALL, or the RECOMMENDED and what is here; in one language."""

    def is_meant(each: ListedModel) -> bool:
        if engine == RECOMMENDED:
            return each.entry.recommended or each.state is not ModelState.ABSENT
        return engine in (ALL, each.entry.group)

    listed = [each for each in models if is_meant(each) and each.entry.speaks(language)]
    return sorted(listed, key=_rank) if engine == RECOMMENDED else listed


def _rank(listed: ListedModel) -> int:
    """What a newcomer should install first, first."""
    group = listed.entry.group
    return FIRST.index(group) if group in FIRST else len(FIRST)


def languages_of(models: Iterable[ListedModel]) -> list[str]:
    """What can be narrowed to: languages without their countries, sorted."""
    return sorted({tag.partition("-")[0] for each in models for tag in each.entry.languages})


def models_html(listed: Sequence[ListedModel], running: Collection[str]) -> str:
    """The models in a table that scrolls by itself; `running`: those being installed."""
    rows = [
        [
            *(each.entry.key, _languages(each.entry.languages), each.entry.licence or "not told"),
            shown_size(each.entry.size),
            "being installed" if each.entry.key in running else state_of(each),
        ]
        for each in listed
    ]
    heads = ["Model", "Languages", "Licence", "Size", "State"]
    empty = "No model fits. Choose another engine or language above."
    return table_html(heads, rows, empty, max_height="20rem")


def problems_html(problems: Mapping[str, str]) -> str:
    """What keeps a file of the catalogue out of it."""
    return "".join(
        '<p role="alert" style="color:var(--error-text-color);overflow-wrap:anywhere">'
        f"Left out of the catalogue: {shown_text(why)}</p>"
        for why in problems.values()
    )


def about_html(chosen: ListedModel, missing: str) -> str:
    """What one should know before it is installed; `missing`: what its engine lacks."""
    entry = chosen.entry
    licence = shown_text(entry.licence or "not told")
    if entry.licence_url.startswith(("https://", "http://")):
        address = html.escape(entry.licence_url, quote=True)
        licence = f'<a href="{address}" target="_blank" rel="noopener">{licence}</a>'
    speaks = ", ".join(entry.languages) or "as it was made for"
    parts = [
        f"<p><b>{shown_text(entry.key)}</b> {shown_text(entry.description)}</p>",
        f"<p>Licence: {licence}. Size: {shown_text(shown_size(entry.size))}. "
        f"Languages: {shown_text(speaks)}.</p>",
    ]
    if entry.terms:
        parts.append(f"<blockquote>{shown_text(entry.terms)}</blockquote>")
    if chosen.needs_environment:
        parts.append(
            "<p>Its engine gets a Python environment of its own, which is fetched as well: "
            "some gigabytes more.</p>"
        )
    if missing:
        parts.append(f"<p><b>{shown_text(missing)}</b></p>")
    return f'<div style="overflow-wrap:anywhere">{"".join(parts)}</div>'


def installs_html(views: Iterable[InstallView]) -> str:
    """What is being installed, and what became of it."""
    return "".join(map(_install_html, reversed(list(views))))


def _install_html(view: InstallView) -> str:
    name = shown_text(view.key)
    if view.state is InstallState.FAILED:
        return (
            f'<p role="alert" style="color:var(--error-text-color);overflow-wrap:anywhere">'
            f"{name} is not installed. {shown_text(view.error)}</p>"
        )
    if view.state is InstallState.STOPPED:
        return f"<p>{name} was stopped. Installing it again goes on from there.</p>"
    if view.state is InstallState.INSTALLED:
        return f"<p>{name} is installed.</p>"
    of = f" value={view.received} max={max(1, view.size)}" if view.size else ""
    return (
        f'<div aria-live="off"><progress{of} aria-label="{name}" '
        'style="width:100%;height:1rem;accent-color:var(--color-accent)"></progress>'
        f'<p style="overflow-wrap:anywhere">{name}: {shown_text(_how_far(view))}</p></div>'
    )


def _how_far(view: InstallView) -> str:
    if view.size is not None and view.received >= view.size:
        return view.doing or "all has arrived; it is compared and put in its place …"
    size = "" if view.size is None else f" of {shown_size(view.size)}"
    return f"{shown_size(view.received)}{size} …"


def state_of(listed: ListedModel) -> str:
    """How much of it is there, in words."""
    if listed.state is ModelState.INSTALLED and listed.needs_environment:
        return "its engine lacks packages: install it again"
    star = "recommended" if listed.entry.recommended else ""
    return _STATES[listed.state] or star


def shown_size(size: int | None) -> str:
    """Bytes in words."""
    if size is None:
        return "not told"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def _languages(tags: Sequence[str]) -> str:
    more = len(tags) - SHOWN_LANGUAGES
    return ", ".join(tags[:SHOWN_LANGUAGES]) + (f" and {more} more" if more > 0 else "")
