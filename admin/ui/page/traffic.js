// SPDX-License-Identifier: Apache-2.0
// The first view: rates, latency, failures, and which lane moves the bytes.

import {el, reconcile, setText, table} from './dom.js';
import {byteRate, bytes, clock, count, microseconds, rate, seconds, short} from './format.js';
import {mapView} from './map.js';
import {plot} from './plot.js';
import {recentRate, state} from './store.js';
import {explanationOf, requestOf} from './streams.js';

const LANES = {copy: 'user space copies', pipe: 'spliced in the kernel through a pipe',
    sockmap: 'the kernel forwards (eBPF)', direct: 'between local processes, in the kernel'};
const LAST_FAILURES = 5;
const SPANS = [['300', '5 minutes'], ['900', '15 minutes'], ['3600', '1 hour'], ['60', '1 minute']];

function tiles() {
    const list = el('dl', {class: 'tiles', id: 'tiles'});
    const create = ([label]) => el('div', {}, el('dt', {}, label), el('dd'));
    const update = (node, [, value]) => setText(node.lastElementChild, value);

    return {node: list, show: rows => reconcile(list, rows, row => row[0], create, update)};
}

function laneSum(totals, lane) {
    return totals.lanesIn[lane] + totals.lanesOut[lane];
}

// What one GiB costs; below 16 MiB the number would say nothing.
function cpuPerGib(totals) {
    const moved = Object.keys(LANES).reduce((sum, lane) => sum + laneSum(totals, lane), 0);

    return moved < 2 ** 24 ? '–' : `${(totals.cpu / 1000 / (moved / 2 ** 30)).toFixed(2)} s`;
}

function tileRows(totals, all) {
    return [
        ['Requests', rate(recentRate(1))],
        ['Failures', rate(recentRate(2))],
        ['Median, 99 %', `${microseconds(all?.us[0])}, ${microseconds(all?.us[2])}`],
        ['From clients', byteRate(recentRate(3))],
        ['To clients', byteRate(recentRate(4))],
        ['CPU for each GiB', cpuPerGib(totals)],
        ['Running', count(totals.streams)],
        ['Client connections', count(totals.clients)],
        ['Backend connections', `${count(totals.upstreams)} (${count(totals.pooled)} idle)`],
        ['Memory', bytes(totals.memory)],
        ['Running for', seconds(totals.uptime / 1000)],
        ['Total requests', count(totals.requests)],
    ];
}

function reasonRows(totals) {
    return Object.entries(totals.reasons).map(([reason, number]) => ({reason, number}))
        .sort((a, b) => b.number - a.number);
}

function laneRows(totals) {
    const all = Object.keys(LANES).reduce((sum, lane) => sum + laneSum(totals, lane), 0) || 1;

    return Object.keys(LANES).map(lane => ({lane, in: totals.lanesIn[lane], out: totals.lanesOut[lane],
        share: laneSum(totals, lane) / all}));
}

function slowRows(map) {
    return map.backends.filter(backend => backend.recent).sort((a, b) => b.us[2] - a.us[2]).slice(0, 8);
}

export function trafficView() {
    const top = tiles();
    const requests = plot('Requests a second', [{column: 1, label: 'requests', name: 'main'},
        {column: 2, label: 'failures', name: 'fail'}], rate);
    const moved = plot('Bytes a second', [{column: 3, label: 'from clients', name: 'in'},
        {column: 4, label: 'to clients', name: 'main'},
        {column: 5, label: 'moved by the kernel', name: 'kernel'}], byteRate);
    const span = el('select', {id: 'span', onchange: () => show()},
        ...SPANS.map(([value, label]) => el('option', {value}, label)));
    const map = mapView();
    const reasons = table('Why requests, tunnels and connections ended, since the start', [
        {label: 'Reason', cell: row => row.reason},
        {label: 'Count', number: true, cell: row => row.number},
        {label: 'What it means', text: true, cell: row => state.data.words?.[row.reason]},
    ], row => row.reason);
    const lanes = table('Payload by lane, since the start', [
        {label: 'Lane', cell: row => row.lane},
        {label: 'From clients', number: true, cell: row => bytes(row.in)},
        {label: 'To clients', number: true, cell: row => bytes(row.out)},
        {label: 'Share', number: true, cell: row => `${Math.round(row.share * 100)} %`},
        {label: 'Who moves them', text: true, cell: row => LANES[row.lane]},
    ], row => row.lane);
    const slow = table('Backends by latency, in the last one to two minutes', [
        {label: 'Backend', text: true, cell: row => short(row.name)},
        {label: 'Median', number: true, cell: row => microseconds(row.us[0])},
        {label: '90 %', number: true, cell: row => microseconds(row.us[1])},
        {label: '99 %', number: true, cell: row => microseconds(row.us[2])},
        {label: 'Requests', number: true, cell: row => row.recent},
        {label: 'Failures since the start', number: true, cell: row => row.failures,
            state: row => row.failures ? 'bad' : null},
    ], row => row.name);

    const failures = table('Newest first', [
        {label: 'Ended', cell: row => clock(row.at)},
        {label: 'Request', text: true, cell: requestOf},
        {label: 'Status', number: true, cell: row => row.status, state: () => 'bad'},
        {label: 'Reason', cell: row => row.timer ? `${row.reason}: a timer fired` : row.reason},
        {label: 'What happened', text: true, cell: explanationOf},
        {label: 'Endpoint', text: true, cell: row => row.endpoint},
    ], row => row.id);

    function show() {
        const {totals, map: places, ends, now} = state.data;

        if (!totals)
            return;
        const end = Math.floor(now / 1000);
        top.show(tileRows(totals, places?.all));
        requests.show(state.samples, end, Number(span.value));
        moved.show(state.samples, end, Number(span.value));
        reasons.show(reasonRows(totals));
        lanes.show(laneRows(totals));
        if (ends)
            failures.show(ends.rows.slice(0, LAST_FAILURES));
        if (places) {
            slow.show(slowRows(places));
            map.show(places);
        }
    }

    return {
        id: 'overview', label: 'Overview', fast: ['map', 'ends'], slow: ['words'], isFailedOnly: true, show,
        nodes: [
            el('section', {'aria-label': 'Numbers'}, top.node),
            el('p', {class: 'soft'}, el('label', {for: 'span'}, 'Plots of the last '), span),
            el('div', {class: 'grid'},
                el('section', {}, el('h2', {}, 'Requests a second'), requests.node),
                el('section', {}, el('h2', {}, 'Bytes a second'), moved.node)),
            el('section', {}, el('h2', {}, 'Map'), map.node),
            el('section', {id: 'failures'}, el('h2', {}, 'Last failures'), failures.node),
            el('div', {class: 'grid'},
                el('section', {}, el('h2', {}, 'Slow backends'), slow.node),
                el('section', {}, el('h2', {}, 'Lanes'), lanes.node)),
            el('section', {}, el('h2', {}, 'Ends'), reasons.node),
        ],
    };
}
