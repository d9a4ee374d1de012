"""Access: what Gradio's pages lack for eyes, keyboards and screen readers."""

from __future__ import annotations

CSS = """
:root {
    --alltalk-focus: #1d4ed8;
    --body-text-color-subdued: var(--neutral-600);
    --block-info-text-color: var(--neutral-600);
    --input-placeholder-color: var(--neutral-500);
}
:root, .dark.dark {
    --button-primary-background-fill: var(--primary-700);
    --button-primary-background-fill-hover: var(--primary-800);
    --button-cancel-background-fill: #b91c1c;
    --button-cancel-background-fill-hover: #991b1b;
}
.dark { --alltalk-focus: #93c5fd; }
body:not(.dark) [role=tab][aria-selected=true] { color: var(--primary-700); }
:is(a, button, input, select, textarea, audio, [tabindex]):focus-visible {
    outline: 2px solid var(--alltalk-focus) !important;
    outline-offset: 2px;
}
.prose h2 { font-size: var(--text-xl); }
.alltalk-unseen, .block[data-empty] {
    position: absolute !important;
    width: 1px;
    height: 1px;
    min-height: 0;
    overflow: hidden !important;
    clip-path: inset(50%);
}
"""
"""Colours that are dark or light enough to be read (4.5 to 1), and where the keyboard is."""

TITLE = '<h1 class="alltalk-unseen">AllTalk</h1>'

JS = """() => {
    const empty = (place) => place.querySelector('style') ||
        (!place.textContent.trim() && !place.querySelector('audio, img, progress, svg'));
    const told = (problem) => {
        const place = problem.closest('[id$="-problem"]');
        const block = place ? document.getElementById(place.id.slice(0, -8)) :
            problem.closest('.block');
        return block && block.querySelector('input, textarea');
    };
    const places = '[id$="-message"], [id$="-added"], #models-progress';
    let count = 0;
    const look = () => {
        for (const place of document.querySelectorAll('.html-container')) {
            const block = place.closest('.block');
            if (block) block.toggleAttribute('data-empty', !!empty(place));
        }
        for (const place of document.querySelectorAll(places)) place.ariaLive = 'polite';
        for (const more of document.querySelectorAll('.overflow-menu > button')) {
            more.setAttribute('aria-label', 'More pages');
        }
        const wrong = new Map();
        const problems = '.validation-error, [id$="-problem"] [role=alert]';
        for (const problem of document.querySelectorAll(problems)) {
            const field = told(problem);
            if (!field) continue;
            problem.id ||= `alltalk-wrong-${++count}`;
            wrong.set(field, problem.id);
        }
        for (const field of document.querySelectorAll('[aria-invalid=true]')) {
            if (wrong.has(field)) continue;
            field.removeAttribute('aria-invalid');
            field.removeAttribute('aria-describedby');
        }
        for (const [field, id] of wrong) {
            field.setAttribute('aria-invalid', 'true');
            field.setAttribute('aria-describedby', id);
        }
    };
    let due = false;
    const soon = () => {
        if (!due) requestAnimationFrame(() => { due = false; look(); });
        due = true;
    };
    new MutationObserver(soon).observe(document.body, {
        childList: true, subtree: true, characterData: true,
    });
    look();
    addEventListener('keydown', (event) => {
        if (event.key !== 'Tab' || event.target.getAttribute('role') !== 'combobox') return;
        for (const list of document.querySelectorAll('ul[role=listbox]')) list.tabIndex = -1;
        event.stopImmediatePropagation();
    }, true);
}"""
"""Marks what Gradio builds, once for each picture that it changes:

- places of messages that are empty leave no gap, and are live regions before the message comes;
- a list of options closes when the Tab key leaves its field (Gradio would open it again), and is
  no stop of that key, which would be nowhere once it closes;
- what is wrong in a field is the field's description.
"""
