// SPDX-License-Identifier: Apache-2.0
// Makes elements. Text is inserted as text nodes only, because clients choose paths and host names.

const SVG = 'http://www.w3.org/2000/svg';

function fill(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        if (name.startsWith('on'))
            node.addEventListener(name.slice(2), value);
        else if (value === true)
            node.setAttribute(name, '');
        else if (value !== false && value !== null && value !== undefined)
            node.setAttribute(name, value);
    }
    node.append(...children.filter(child => child !== null && child !== undefined));
    return node;
}

export function el(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
}

export function svg(tag, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
}

// Writes only what has changed, so that a screen reader and the selection are left alone.
export function setText(node, text) {
    if (node.textContent !== String(text))
        node.textContent = text;
}

export function setAttribute(node, name, value) {
    if (node.getAttribute(name) !== String(value))
        node.setAttribute(name, value);
}

// Makes the children of `parent` those of `items`, by key: an element that stays keeps the focus.
export function reconcile(parent, items, keyOf, create, update) {
    const keys = items.map(item => String(keyOf(item)));
    const wanted = new Set(keys);
    const old = new Map();

    // First, so that those that stay need not move: that takes the focus away. Of equal keys one is kept.
    for (const child of [...parent.children]) {
        const {key} = child.dataset;

        if (wanted.has(key) && !old.has(key))
            old.set(key, child);
        else
            child.remove();
    }
    let place = parent.firstElementChild;
    items.forEach((item, at) => {
        let child = old.get(keys[at]);

        if (child) {
            old.delete(keys[at]);
        } else {
            child = create(item);
            child.dataset.key = keys[at];
        }
        update(child, item);
        if (child === place)
            place = place.nextElementSibling;
        else
            parent.insertBefore(child, place);
    });
}

// A table whose rows are reconciled. columns: {label, number, text, cell(item): text or node, title(item)}
export function table(caption, columns, keyOf) {
    const body = el('tbody');
    const head = el('tr', {}, ...columns.map(column =>
        el('th', {scope: 'col', class: column.number ? 'number' : null}, column.label)));
    const node = el('div', {class: 'scroll'}, el('table', {class: 'rows'}, el('caption', {}, caption),
        el('thead', {}, head), body));
    const create = () => el('tr', {}, ...columns.map(column => el('td', {'data-label': column.label,
        class: column.number ? 'number' : column.text ? 'text' : null})));
    const update = (row, item) => columns.forEach((column, at) => {
        const cell = row.children[at];

        if (column.update)
            column.update(cell, item);
        else
            setText(cell, column.cell(item) ?? '');
        if (column.state)
            cell.className = [column.number ? 'number' : column.text ? 'text' : '',
                column.state(item) ?? ''].join(' ').trim();
    });

    return {node, show: items => reconcile(body, items, keyOf, create, update),
        caption: text => setText(node.querySelector('caption'), text)};
}

export function announce(text) {
    setText(document.getElementById('announce'), text);
}

// Resolves to true if the first button was chosen. Escape is no.
export function ask(question, yes, no) {
    return new Promise(resolve => {
        const answer = value => { dialog.close(); dialog.remove(); resolve(value); };
        const dialog = el('dialog', {oncancel: () => answer(false), 'aria-label': question},
            el('p', {}, question),
            el('p', {}, el('button', {type: 'button', autofocus: true, onclick: () => answer(false)}, no),
                el('button', {type: 'button', class: 'bad', onclick: () => answer(true)}, yes)));

        document.body.append(dialog);
        dialog.showModal();
    });
}
