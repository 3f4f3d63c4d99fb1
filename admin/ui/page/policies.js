// SPDX-License-Identifier: Apache-2.0
// The policies of a route: where each value comes from, and which lose. What policies and limits refused.

import {el, reconcile, setText, table} from './dom.js';
import {refresh, state} from './store.js';

function valueOf(row) {
    return Object.entries(row.value).map(([kind, value]) => `${kind}: ${JSON.stringify(value)}`).join('\n');
}

function fateOf(row) {
    if (row.wins && row.lost.length)
        return `applies, without ${row.lost.join(', ')}: ${row.lostTo} sets the same`;
    if (row.wins)
        return row.beforeRoute ? 'applies, before a route is chosen' : 'applies';
    return row.lostTo ? `loses to ${row.lostTo}, at the same level` : 'loses to a stronger level';
}

// Each worker has its own counts.
function refusalRows(rows) {
    const sums = new Map();

    for (const row of rows) {
        const key = `${row.policy} ${row.rule}`;
        const sum = sums.get(key) ?? {...row, key, count: 0};

        sum.count += row.count;
        sums.set(key, sum);
    }
    return [...sums.values()].sort((a, b) => b.count - a.count);
}

export function policiesView() {
    const route = el('select', {id: 'route', onchange: () => { state.routeKey = route.value; refresh(); }});
    const name = el('p', {class: 'soft'});
    const effective = table('Strongest first', [
        {label: 'Policy', text: true, update: (cell, row) => {
            if (!cell.firstChild)
                cell.append(el('pre'));
            setText(cell.firstChild, valueOf(row));
            cell.firstChild.className = row.wins ? '' : 'lost';
        }},
        {label: 'Level', cell: row => row.level},
        {label: 'From', text: true, cell: row => row.from},
        {label: 'File', text: true, cell: row => row.where},
        {label: 'Result', text: true, cell: fateOf, state: row => row.wins ? 'good' : 'warn'},
    ], row => row.key);
    const refused = table('Since the start', [
        {label: 'Policy', cell: row => row.policy},
        {label: 'Where', text: true, cell: row => row.rule},
        {label: 'Requests refused', number: true, cell: row => row.count},
    ], row => row.key);
    const buckets = el('p', {class: 'soft'});

    function showRoutes(routes) {
        reconcile(route, routes, item => item.key, item => el('option', {value: item.key}),
            (node, item) => setText(node, `${item.name} ${item.rule} ${item.path ?? ''}`.trim()));
        if (!routes.some(item => item.key === state.routeKey) && routes.length) {
            state.routeKey = routes[0].key;
            route.value = state.routeKey;
            refresh();
        }
    }

    function show() {
        const {map, policies, refusals} = state.data;

        if (map)
            showRoutes(map.routes.filter(item => item.kind === 'http'));
        if (policies) {
            const rows = policies.rows.map((row, at) => ({...row,
                key: `${at} ${row.from} ${Object.keys(row.value)}`}));

            setText(name, rows.length ? '' : 'No policy applies to this route: the defaults do.');
            effective.show(rows);
        }
        if (refusals) {
            refused.show(refusalRows(refusals.rows));
            setText(buckets, `Buckets of rate limits in use: ${refusals.buckets}`);
        }
    }

    return {
        id: 'policies', label: 'Policies', fast: [], slow: ['map', 'policies', 'refusals'], show,
        nodes: [
            el('section', {id: 'effective'}, el('h2', {}, 'Policies of a route'),
                el('p', {}, el('label', {for: 'route'}, 'Route '), route), name, effective.node),
            el('section', {id: 'refusals'}, el('h2', {}, 'Refused by policies and limits'), buckets,
                refused.node),
        ],
    };
}
