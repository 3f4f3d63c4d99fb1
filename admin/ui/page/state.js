// SPDX-License-Identifier: Apache-2.0
// Configuration, Kubernetes objects, certificates, MCP sessions, starts of the process.

import {el, reconcile, setText, table} from './dom.js';
import {date, milliseconds, short} from './format.js';
import {state} from './store.js';

const CAUSES = {start: 'started', upgrade: 'upgraded from another program',
    crash: 'started again after a crash'};
const SOON_DAYS = 21;

function messageList(label) {
    const list = el('ul', {'aria-label': label});

    return {node: list, show: lines => reconcile(list, lines, line => line, () => el('li'),
        (node, line) => setText(node, line))};
}

function objectOf(row) {
    const name = [row.namespace, row.name].filter(Boolean).join('/');

    return `${row.kind} ${name}${row.part ? ` (${row.part})` : ''}`;
}

function configText(config) {
    const fate = config.ok ? 'The last change was accepted.'
        : 'The last change was refused: the one before it is in force.';

    return `Generation ${config.generation}, loaded ${date(config.loaded)}. ${fate} ` +
        `${config.reloads} reloads accepted, ${config.refused} refused.`;
}

function takenText(restarts) {
    return `${restarts.crashes} crashes; ${restarts.resumed} connections and streams were taken over from ` +
        `earlier processes, ${restarts.notResumed} were lost with them.`;
}

function targetsOf(session) {
    return session.targets.map(target => `${target.name}: ${target.state}`).join(', ');
}

export function stateView() {
    const config = el('p');
    const errors = messageList('Errors');
    const warnings = messageList('Warnings');
    const conditions = table('Conditions of Kubernetes objects', [
        {label: 'Object', text: true, cell: objectOf},
        {label: 'Condition', cell: row => `${row.type} ${row.status ? 'True' : 'False'}`,
            state: row => row.good ? 'good' : 'bad'},
        {label: 'Reason', cell: row => row.reason},
        {label: 'Message', text: true, cell: row => row.message},
    ], row => `${objectOf(row)} ${row.type}`);
    const certificates = table('Soonest expiry first', [
        {label: 'Names', text: true, cell: row => row.names.join(', ') || row.subject},
        {label: 'Days left', number: true, cell: row => row.daysLeft,
            state: row => row.daysLeft < 0 ? 'bad' : row.daysLeft < SOON_DAYS ? 'warn' : 'good'},
        {label: 'Expires', cell: row => row.notAfter},
        {label: 'Use', cell: row => row.use},
        {label: 'Used by', text: true, cell: row => row.usedBy.join(', ')},
        {label: 'Issuer', text: true, cell: row => row.issuer},
    ], row => row.use + row.fingerprint);
    const sessions = table('Sessions and their targets', [
        {label: 'Session', cell: row => row.id},
        {label: 'State', cell: row => row.state},
        {label: 'Version', cell: row => row.version},
        {label: 'Backend', text: true, cell: row => short(row.backend)},
        {label: 'Age', number: true, cell: row => milliseconds(row.ageMs)},
        {label: 'Unused', number: true, cell: row => milliseconds(row.idleMs)},
        {label: 'Running requests', number: true, cell: row => row.calls.length},
        {label: 'Targets', text: true, cell: targetsOf},
    ], row => `${row.backend} ${row.id}`);
    const starts = table('The last starts', [
        {label: 'When', cell: row => date(row.at)},
        {label: 'Why', cell: row => CAUSES[row.cause] ?? row.cause,
            state: row => row.cause === 'crash' ? 'bad' : null},
    ], row => row.at);
    const taken = el('p', {class: 'soft'});

    function show() {
        const {data} = state;

        if (data.config) {
            setText(config, configText(data.config));
            config.className = data.config.ok ? '' : 'bad';
            errors.show(data.config.errors);
            warnings.show(data.config.warnings);
        }
        if (data.conditions) {
            const {rows, total} = data.conditions;

            conditions.caption(total ? `${rows.length} of ${total}` : 'No Kubernetes objects are loaded.');
            conditions.show(data.conditions.rows);
        }
        certificates.show(data.certificates ?? []);
        sessions.caption(data.sessions === null ? 'Too many to show: see /mcp/sessions.'
            : 'Sessions and their targets');
        sessions.show(data.sessions ?? []);
        if (data.restarts) {
            starts.show([...data.restarts.starts].reverse());
            setText(taken, takenText(data.restarts));
        }
    }

    return {
        id: 'state', label: 'State', fast: [],
        slow: ['config', 'conditions', 'certificates', 'sessions', 'restarts'], show,
        nodes: [
            el('section', {id: 'config'}, el('h2', {}, 'Configuration'), config,
                el('h3', {}, 'Errors of the last one'),
                errors.node, el('h3', {}, 'Warnings'), warnings.node),
            el('section', {}, el('h2', {}, 'Kubernetes objects'), conditions.node),
            el('section', {}, el('h2', {}, 'Certificates'), certificates.node),
            el('section', {id: 'sessions'}, el('h2', {}, 'MCP'), sessions.node),
            el('section', {id: 'starts'}, el('h2', {}, 'Starts'), taken, starts.node),
        ],
    };
}
