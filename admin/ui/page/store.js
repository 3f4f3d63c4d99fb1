// SPDX-License-Identifier: Apache-2.0
// Asks /ui/data once a second, and keeps what comes: the last hour of samples, and counters for rates.

const POLL_MS = 1000;
const SLOW_MS = 5000; // for parts that change seldom
const HOUR_S = 3600;
const RATE_POLLS = 5; // a rate is the mean of so many polls

export const state = {
    filter: {}, // listener, route, backend, endpoint
    sort: 'deadline',
    isFailedOnly: false, // of the streams that have ended
    routeKey: '', // whose policies are shown
    data: {}, // the latest of each part
    receivedAt: 0, // performance.now() of the latest response
    samples: [], // [second, requests, failures, bytes in, bytes out, bytes in the kernel]
    isConnected: null,
    error: '',
};

let parts = {fast: [], slow: []};
let slowAt = 0;
let since = 0;
let timer = 0;
let running = false;
let onUpdate = () => {};
let polls = []; // {at, counters: Map}

// ---- rates

function remember(map) {
    const counters = new Map();
    const add = (key, place) => counters.set(key, place);

    for (const listener of map.listeners)
        add(`l ${listener.bind} ${listener.name}`, listener);
    for (const route of map.routes)
        add(`r ${route.key}`, route);
    for (const backend of map.backends) {
        add(`b ${backend.name}`, backend);
        for (const endpoint of backend.endpoints)
            add(`e ${backend.name} ${endpoint.name}`, endpoint);
    }
    polls.push({at: state.data.now, counters});
    polls = polls.slice(-RATE_POLLS - 1);
}

// What a place of the map gains in a second. member: requests, failures, in or out.
export function rateOf(key, member) {
    const last = polls[polls.length - 1];
    const first = polls.find(poll => poll.counters.has(key));

    if (!last || !first || first === last || !last.counters.has(key))
        return 0;
    const gained = last.counters.get(key)[member] - first.counters.get(key)[member];
    return Math.max(0, gained) * 1000 / (last.at - first.at);
}

// ---- samples

function keepSamples(samples, now) {
    state.samples.push(...samples.rows);
    since = samples.until;
    const oldest = Math.floor(now / 1000) - HOUR_S;
    const kept = state.samples.findIndex(row => row[0] >= oldest);
    state.samples = kept < 0 ? [] : state.samples.slice(kept);
}

// The mean of the last full seconds, of one column.
export function recentRate(column, seconds = 5) {
    const end = Math.floor((state.data.now ?? 0) / 1000);
    const rows = state.samples.filter(row => row[0] >= end - seconds);

    return rows.reduce((sum, row) => sum + row[column], 0) / seconds;
}

// ---- polling

function query(wanted) {
    const all = new URLSearchParams({parts: wanted.join(','), sort: state.sort, since});

    for (const [name, value] of Object.entries(state.filter))
        all.set(name, value);
    if (state.isFailedOnly || parts.isFailedOnly)
        all.set('failed', 1);
    if (state.routeKey)
        all.set('key', state.routeKey);
    return all;
}

function restarted(data) {
    return state.data.totals && data.totals && data.totals.uptime < state.data.totals.uptime;
}

function take(data) {
    if (restarted(data))
        polls = [];
    // Seconds count from the start of the gateway's host, which has started again.
    if (data.now < state.data.now)
        state.samples = [];
    Object.assign(state.data, data);
    state.receivedAt = performance.now();
    if (data.samples)
        keepSamples(data.samples, data.now);
    if (data.map)
        remember(data.map);
}

async function poll() {
    const isSlow = performance.now() >= slowAt;
    const wanted = isSlow ? [...parts.fast, ...parts.slow] : parts.fast;
    let wait = POLL_MS;

    running = true;
    try {
        const response = await fetch(`/ui/data?${query(wanted)}`, {cache: 'no-store'});

        if (!response.ok)
            throw new Error((await response.text()).trim());
        const data = await response.json();
        take(data);
        if (isSlow)
            slowAt = performance.now() + SLOW_MS;
        if (data.samples?.more)
            wait = 0;
        state.isConnected = true;
    } catch (error) {
        state.isConnected = false;
        state.error = error.message;
    }
    running = false;
    onUpdate();
    plan(wait);
}

function plan(wait) {
    clearTimeout(timer);
    if (!document.hidden)
        timer = setTimeout(poll, wait);
}

// Asks at once, because what is shown has changed.
export function refresh() {
    slowAt = 0;
    if (!running)
        plan(0);
}

export function show(view) {
    parts = {fast: ['totals', 'samples', ...view.fast], slow: view.slow, isFailedOnly: view.isFailedOnly};
    delete state.data.ends;
    refresh();
}

export function start(update) {
    onUpdate = update;
    document.addEventListener('visibilitychange', () => plan(0));
    plan(0);
}

// ---- changes

export function setFilter(filter) {
    state.filter = filter;
    polls = [];
    refresh();
}

// The header proves that a page of this server sends it: others may not set it.
export async function closeStream(id) {
    const response = await fetch(`/streams/${id}/close`, {method: 'POST', headers: {'X-Headgate': '1'}});
    const text = (await response.text()).trim();

    refresh();
    return {isDone: response.ok, text};
}
