// SPDX-License-Identifier: Apache-2.0
// Tabs, theme, keys, and the line that says whether all is well.

import {announce, el, reconcile, setText} from './dom.js';
import {policiesView} from './policies.js';
import {stateView} from './state.js';
import {setFilter, show as showParts, start, state} from './store.js';
import {streamsView} from './streams.js';
import {trafficView} from './traffic.js';

const THEMES = ['system', 'dark', 'light'];
const KEYS = [['1 to 4', 'the views'], ['t', 'the theme'], ['c', 'clear the filter'], ['?', 'this help'],
    ['Tab, Enter', 'go to the next control, use it']];

const views = [trafficView(), streamsView(), policiesView(), stateView()];
const tabs = document.getElementById('tabs');
const content = document.getElementById('content');
let current = null;
const systemIsDark = matchMedia('(prefers-color-scheme: dark)');
let theme = 'system';
let generation = 0;

// ---- views

function select(view, hasFocus) {
    if (current === view)
        return;
    current = view;
    for (const tab of tabs.children) {
        const isOn = tab.id === `tab-${view.id}`;

        tab.setAttribute('aria-selected', isOn);
        tab.tabIndex = isOn ? 0 : -1;
        if (isOn && hasFocus)
            tab.focus();
    }
    content.setAttribute('role', 'tabpanel');
    content.setAttribute('aria-labelledby', `tab-${view.id}`);
    content.replaceChildren(...view.nodes);
    history.replaceState(null, '', `#${view.id}`);
    showParts(view);
    view.show();
}

function onTabKey(event) {
    const step = {ArrowRight: 1, ArrowLeft: -1}[event.key];

    if (step)
        select(views[(views.indexOf(current) + step + views.length) % views.length], true);
}

tabs.addEventListener('keydown', onTabKey);
tabs.append(...views.map(view => el('button', {type: 'button', role: 'tab', id: `tab-${view.id}`,
    'aria-controls': 'content', onclick: () => select(view)}, view.label)));

// ---- theme

function storedTheme() {
    try {
        return localStorage.getItem('theme') ?? 'system';
    } catch {
        return 'system';
    }
}

function applyTheme() {
    const resolved = theme !== 'system' ? theme : systemIsDark.matches ? 'dark' : 'light';

    document.documentElement.dataset.theme = resolved;
    setText(document.getElementById('theme'), `Theme: ${theme}`);
}

function setTheme(wanted) {
    theme = THEMES.includes(wanted) ? wanted : 'system';
    applyTheme();
    try {
        localStorage.setItem('theme', theme);
    } catch {
        // The page works without a memory.
    }
}

function nextTheme() {
    setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]);
}

// ---- filter

function showFilter() {
    reconcile(document.getElementById('filter'), Object.entries(state.filter), ([kind]) => kind,
        ([kind]) => el('button', {type: 'button', onclick: () => {
            const {[kind]: gone, ...rest} = state.filter;

            setFilter(rest);
            announce(`Filter ${gone} removed`);
            showFilter();
        }}), (node, [kind, value]) => setText(node, `${kind}: ${value} ✕`));
}

// ---- keys

function showHelp() {
    const dialog = el('dialog', {'aria-label': 'Keys', onclose: () => dialog.remove()},
        el('table', {}, el('tbody', {}, ...KEYS.map(([key, what]) =>
            el('tr', {}, el('th', {scope: 'row'}, key), el('td', {}, what))))),
        el('p', {}, el('button', {type: 'button', autofocus: true, onclick: () => dialog.close()}, 'Back')));

    document.body.append(dialog);
    dialog.showModal();
}

function onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector('dialog[open]') ||
        event.target.matches('select, input'))
        return;
    if (event.key >= '1' && event.key <= String(views.length))
        select(views[event.key - 1], true);
    else if (event.key === 't')
        nextTheme();
    else if (event.key === 'c')
        setFilter({});
    else if (event.key === '?')
        showHelp();
}

document.addEventListener('keydown', onKey);
document.getElementById('help').addEventListener('click', showHelp);
document.getElementById('theme').addEventListener('click', nextTheme);

// ---- the line at the top

function healthText() {
    const {totals} = state.data;

    if (!state.isConnected)
        return [`The gateway does not answer (${state.error}). Trying again.`, 'bad'];
    if (state.data.config && !state.data.config.ok)
        return ['The last change of the configuration was refused: see State.', 'warn'];
    return totals?.ready ? ['Ready', 'good'] : ['Draining', 'warn'];
}

function update() {
    const [text, level] = healthText();
    const health = document.getElementById('health');

    setText(health, text);
    health.className = level;
    if (state.data.totals)
        setText(document.getElementById('version'), state.data.totals.version);
    if (generation && state.data.generation !== generation)
        announce(`Configuration ${state.data.generation} is in force`);
    generation = state.data.generation ?? 0;
    showFilter();
    current.show();
}

systemIsDark.addEventListener('change', applyTheme);
setTheme(storedTheme());
select(views.find(view => `#${view.id}` === location.hash) ?? views[0]);
start(update);
