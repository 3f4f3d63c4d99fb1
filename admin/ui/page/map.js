// SPDX-License-Identifier: Apache-2.0
// Listener, route, backend, endpoint: a column each. A click on one filters everything by it.

import {el, reconcile, setAttribute, setText, svg} from './dom.js';
import {microseconds, rate, seconds, short} from './format.js';
import {rateOf, setFilter, state} from './store.js';

const COLUMNS = [['listener', 'Listeners'], ['route', 'Routes'], ['backend', 'Backends'],
    ['endpoint', 'Endpoints']];

function toggle(kind, value) {
    const filter = {...state.filter};

    if (filter[kind] === value)
        delete filter[kind];
    else
        filter[kind] = value;
    setFilter(filter);
}

function healthOf(item) {
    if (item.place.evicted !== undefined)
        return `evicted for ${seconds(item.place.evicted / 1000)}`;
    if (item.place.out !== undefined)
        return item.place.out;
    return item.place.health !== undefined ? `health ${item.place.health} %` : '';
}

function numbersOf(item) {
    const {place, key} = item;
    const failures = rateOf(key, 'failures');
    const parts = [rate(rateOf(key, 'requests'))];

    if (place.recent)
        parts.push(`99 % in ${microseconds(place.us[2])}`);
    if (failures > 0)
        parts.push(`${rate(failures)} fail`);
    if (place.last === undefined)
        parts.push('no request yet');
    else if (place.last > 5)
        parts.push(`last ${seconds(place.last)} ago`);
    return parts.join(', ');
}

// Items of a column: {kind, value (of the filter), label, key, place, from: keys of the column before}
function columnsOf(map) {
    const listeners = map.listeners.map(place => ({kind: 'listener', value: place.name, place, from: [],
        label: `${place.protocol} :${place.port} ${place.host}`.trim(),
        key: `l ${place.bind} ${place.name}`}));
    const routes = map.routes.map(place => ({kind: 'route', value: place.name, place, key: `r ${place.key}`,
        from: [`l ${place.bind} ${place.listener}`],
        label: `${place.name}${place.rule ? ` ${place.rule}` : ''} ${place.path ?? ''}`.trim()}));
    const backends = map.backends.map(place => ({kind: 'backend', value: place.name, place,
        key: `b ${place.name}`, label: short(place.name),
        from: map.routes.filter(route => route.backends.includes(place.name))
            .map(route => `r ${route.key}`)}));
    const endpoints = map.backends.flatMap(backend => backend.endpoints.map(place => ({kind: 'endpoint',
        value: place.name, place, key: `e ${backend.name} ${place.name}`, label: place.name,
        from: [`b ${backend.name}`]})));

    return [listeners, routes, backends, endpoints];
}

function create(item) {
    return el('li', {}, el('button', {type: 'button', onclick: () => toggle(item.kind, item.value)},
        el('span'), el('small', {class: 'numbers'}), el('small', {class: 'health'})));
}

function update(node, item) {
    const button = node.firstElementChild;
    const [label, numbers, health] = button.children;
    const isBad = item.place.evicted !== undefined || item.place.out !== undefined ||
        Boolean(item.place.invalid);

    setAttribute(button, 'aria-pressed', state.filter[item.kind] === item.value);
    setAttribute(button, 'title', item.place.name);
    setText(label, item.label);
    setText(numbers, numbersOf(item));
    setText(health, item.place.invalid || healthOf(item));
    setAttribute(health, 'class', isBad ? 'health bad' : 'health');
}

const curve = ({x1, y1, x2, y2}) => `M${x1},${y1}C${x1 + 20},${y1} ${x2 - 20},${y2} ${x2},${y2}`;

// Lines from a column to the next one.
function draw(image, box, columns, lists) {
    const frame = box.getBoundingClientRect();
    const places = new Map();
    const lines = [];

    lists.forEach(list => [...list.children].forEach(child =>
        places.set(child.dataset.key, child.getBoundingClientRect())));
    for (const item of columns.flat()) {
        const to = places.get(item.key);

        for (const key of item.from) {
            const from = places.get(key);

            if (from && to)
                lines.push({x1: from.right - frame.left, y1: from.top + from.height / 2 - frame.top,
                    x2: to.left - frame.left, y2: to.top + to.height / 2 - frame.top,
                    isBusy: rateOf(item.key, 'requests') > 0});
        }
    }
    image.replaceChildren(...lines.map(line => svg('path', {class: line.isBusy ? 'busy' : null,
        d: curve(line)})));
}

export function mapView() {
    const image = svg('svg', {'aria-hidden': 'true'});
    const lists = COLUMNS.map(([kind, label]) => el('ul', {id: `map-${kind}`, 'aria-label': label}));
    const box = el('div', {class: 'map'}, image, ...lists.map((list, at) =>
        el('div', {}, el('h3', {}, COLUMNS[at][1]), list)));
    const note = el('p', {class: 'soft'});

    function show(map) {
        const columns = columnsOf(map);

        lists.forEach((list, at) => reconcile(list, columns[at], item => item.key, create, update));
        draw(image, box, columns, lists);
        setText(note, map.routeTotal > map.routes.length
            ? `${map.routes.length} of ${map.routeTotal} routes: those with most requests.` : '');
    }

    return {node: el('div', {}, box, note), show};
}
