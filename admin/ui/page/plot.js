// SPDX-License-Identifier: Apache-2.0
// A plot of the last minutes as lines, of rows of one second each.

import {el, setText, svg} from './dom.js';

const WIDTH = 600;
const HEIGHT = 120;
const LEFT = 4;
const TOP = 14;
const BOTTOM = 16;

// The largest value of each pixel column: a peak of one second is seen in a plot of an hour.
function columnsOf(rows, column, end, span) {
    const values = new Float64Array(WIDTH);

    for (const row of rows) {
        const at = Math.floor((row[0] - (end - span)) * WIDTH / span);

        if (at >= 0 && at < WIDTH)
            values[at] = Math.max(values[at], row[column]);
    }
    return values;
}

function pathOf(values, step, most) {
    const points = [];

    for (let at = 0; at < WIDTH; at += step) {
        let value = 0;

        for (let i = at; i < at + step && i < WIDTH; i++)
            value = Math.max(value, values[i]);
        const y = TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
        points.push(`${points.length ? 'L' : 'M'}${LEFT + at},${y.toFixed(1)}`);
    }
    return points.join('');
}

// lines: {column, label, name (a class)}; format: of a value.
export function plot(title, lines, format) {
    const top = svg('text', {x: LEFT, y: 11});
    const from = svg('text', {x: LEFT, y: HEIGHT - 3});
    const now = svg('text', {x: LEFT + WIDTH, y: HEIGHT - 3, 'text-anchor': 'end'}, 'now');
    const paths = lines.map(line => svg('path', {class: line.name}));
    const name = svg('title', {}, title);
    const image = svg('svg', {class: 'plot', viewBox: `0 0 ${WIDTH + 2 * LEFT} ${HEIGHT}`, role: 'img'}, name,
        svg('line', {class: 'axis', x1: LEFT, x2: LEFT + WIDTH, y1: HEIGHT - BOTTOM, y2: HEIGHT - BOTTOM}),
        ...paths, top, from, now);
    const legend = el('ul', {class: 'legend'});
    const keys = lines.map(line => el('li', {}));

    lines.forEach((line, at) => {
        keys[at].append(el('span', {class: line.name, 'aria-hidden': 'true'}, '— '), line.label, ' ',
            el('strong', {}, ''));
    });
    legend.append(...keys);

    function show(rows, end, span) {
        const step = Math.max(1, Math.round(WIDTH / span));
        const values = lines.map(line => columnsOf(rows, line.column, end, span));
        const most = Math.max(1, ...values.map(list => Math.max(...list)));
        const latest = rows.length && rows[rows.length - 1][0] >= end - 2 ? rows[rows.length - 1] : null;

        paths.forEach((path, at) => path.setAttribute('d', pathOf(values[at], step, most)));
        setText(top, format(most));
        setText(from, span >= 120 ? `${Math.round(span / 60)} min ago` : `${span} s ago`);
        lines.forEach((line, at) =>
            setText(keys[at].querySelector('strong'), format(latest ? latest[line.column] : 0)));
        setText(name, `${title}: at most ${format(most)}`);
    }

    return {node: el('figure', {}, image, legend), show};
}
