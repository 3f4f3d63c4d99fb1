// SPDX-License-Identifier: Apache-2.0
// Running streams: what each waits for, and the deadline that will end it. Streams that ended, and why.

import {announce, ask, el, setText, table} from './dom.js';
import {bytes, clock, milliseconds, short} from './format.js';
import {closeStream, refresh, state} from './store.js';

const WAITS = {
    new: 'for a route', guard: 'for the decision of a policy', delay: 'for an injected delay to pass',
    pending: 'for a place at the backend',
    resolve: 'for the addresses of the backend', connect: 'for a connection to the backend',
    wait_head: 'for the response of the backend', backoff: 'for the next attempt',
    relay: 'for bytes of the bodies',
    tunnel: 'for bytes of the tunnel', reply: 'for the client to read the answer',
};
const SORTS = [['deadline', 'nearest deadline'], ['age', 'age'], ['bytes', 'bytes'], ['idle', 'idle time'],
    ['id', 'ID']];
const SOON_MS = 3000;
const TICK_MS = 200;

// The longest time that was left of a deadline, where it is not known when it began.
const full = new Map();

export function requestOf(row) {
    return `${row.method ?? row.protocol} ${row.host ?? ''}${row.path ?? ''}`;
}

export function explanationOf(row) {
    return [row.error, state.data.words?.[row.reason]].filter(Boolean).join(': ');
}

function fullOf(row) {
    const key = `${row.id} ${row.deadline}`;
    const known = full.get(key) ?? 0;

    if (row.deadline === 'request_timeout')
        return row.age + row.left;
    if (/idle|stall/.test(row.deadline))
        return row.idle + row.left;
    if (row.left > known)
        full.set(key, row.left);
    return Math.max(row.left, known, 1);
}

function forget(rows) {
    const kept = new Set(rows.map(row => `${row.id} ${row.deadline}`));

    for (const key of full.keys())
        if (!kept.has(key))
            full.delete(key);
}

// The bar goes on between two responses.
function tick(bar) {
    const left = Math.max(0, Number(bar.dataset.left) - (performance.now() - Number(bar.dataset.at)));

    bar.value = left;
    bar.classList.toggle('soon', left < SOON_MS);
    setText(bar.nextElementSibling, ` ${milliseconds(left)} ${bar.dataset.name}`);
}

function showDeadline(cell, row) {
    if (!row.deadline) {
        setText(cell, 'none');
        return;
    }
    if (!cell.querySelector('progress'))
        cell.replaceChildren(el('div', {}, el('progress'), el('small')));
    const bar = cell.querySelector('progress');
    Object.assign(bar.dataset, {left: row.left, at: state.receivedAt, name: row.deadline});
    bar.max = fullOf(row);
    bar.setAttribute('aria-label', `Time left until ${row.deadline}`);
    tick(bar);
}

async function onClose(row) {
    const question = `End this stream? ${requestOf(row)} of ${row.client}`;

    if (!await ask(question, 'End it', 'Let it run'))
        return;
    const {text} = await closeStream(row.id);
    announce(text);
}

function showButton(cell, row) {
    if (!cell.firstChild)
        cell.append(el('button', {type: 'button', class: 'close', onclick: () => onClose(row),
            'aria-label': `End ${requestOf(row)}`}, 'End'));
}

export function streamsView() {
    const sort = el('select', {id: 'sort', onchange: () => { state.sort = sort.value; refresh(); }},
        ...SORTS.map(([value, label]) => el('option', {value}, label)));
    const failed = el('input', {type: 'checkbox', id: 'failed', onchange: () => {
        state.isFailedOnly = failed.checked;
        refresh();
    }});
    const running = table('', [
        {label: 'Request', text: true, cell: requestOf},
        {label: 'Waits', text: true, cell: row => WAITS[row.state] ?? row.state},
        {label: 'Deadline', update: showDeadline},
        {label: 'Age', number: true, cell: row => milliseconds(row.age)},
        {label: 'Idle', number: true, cell: row => milliseconds(row.idle)},
        {label: 'In', number: true, cell: row => bytes(row.in)},
        {label: 'Out', number: true, cell: row => bytes(row.out)},
        {label: 'Lane', cell: row => row.lane},
        {label: 'Route', text: true, cell: row => row.route},
        {label: 'Endpoint', text: true, cell: row => row.endpoint ?? short(row.backend ?? '')},
        {label: 'Client', cell: row => row.client},
        {label: '', update: showButton},
    ], row => row.id);
    const ended = table('', [
        {label: 'Ended', cell: row => clock(row.at)},
        {label: 'Request', text: true, cell: requestOf},
        {label: 'Status', number: true, cell: row => row.status,
            state: row => row.status >= 500 ? 'bad' : null},
        {label: 'Reason', cell: row => row.reason, state: row => row.failed ? 'bad' : null},
        {label: 'Timer', cell: row => row.timer ? 'a timer fired' : '', state: () => 'warn'},
        {label: 'What happened', text: true, cell: explanationOf},
        {label: 'Took', number: true, cell: row => milliseconds(row.duration)},
        {label: 'Out', number: true, cell: row => bytes(row.out)},
        {label: 'Retries', number: true, cell: row => row.retry},
        {label: 'Route', text: true, cell: row => row.route},
        {label: 'Endpoint', text: true, cell: row => row.endpoint},
    ], row => row.id);

    setInterval(() => running.node.querySelectorAll('progress').forEach(tick), TICK_MS);

    function show() {
        const {streams, ends} = state.data;

        if (!streams || !ends)
            return;
        forget(streams.rows);
        running.caption(`${streams.rows.length} of ${streams.matched} that match; ${streams.total} run`);
        running.show(streams.rows);
        ended.caption(`${ends.rows.length} of the last ${ends.total}`);
        ended.show(ends.rows);
    }

    return {
        id: 'streams', label: 'Streams', fast: ['streams', 'ends'], slow: ['words'], show,
        nodes: [
            el('section', {id: 'running'}, el('h2', {}, 'Running'),
                el('p', {class: 'soft'}, el('label', {for: 'sort'}, 'Sort by '), sort), running.node),
            el('section', {id: 'ended'}, el('h2', {}, 'Ended'),
                el('p', {class: 'soft'}, failed, el('label', {for: 'failed'}, ' Only failures')),
                ended.node),
        ],
    };
}
