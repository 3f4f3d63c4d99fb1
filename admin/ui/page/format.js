// SPDX-License-Identifier: Apache-2.0
// Numbers as people read them.

function scaled(value, base, units) {
    let at = 0;

    while (value >= base && at < units.length - 1) {
        value /= base;
        at++;
    }
    const digits = at === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
    return `${value.toFixed(digits)}${units[at]}`;
}

export const count = value => scaled(value, 1000, ['', ' k', ' M', ' G', ' T']);
export const bytes = value => scaled(value, 1024, [' B', ' KiB', ' MiB', ' GiB', ' TiB', ' PiB']);
export const byteRate = value => `${bytes(value)}/s`;
export const rate = value => value > 0 && value < 10 ? `${value.toFixed(1)}/s` : `${count(value)}/s`;

export function microseconds(value) {
    if (value === undefined)
        return '–';
    return value < 1000 ? `${value} µs` : milliseconds(value / 1000);
}

export function milliseconds(value) {
    if (value < 1000)
        return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
    if (value < 60000)
        return `${(value / 1000).toFixed(1)} s`;
    return seconds(value / 1000);
}

export function seconds(value) {
    const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
    const at = parts.findIndex(([size]) => value >= size);

    if (at < 0)
        return '0 s';
    const [size, unit] = parts[at];
    const rest = at + 1 < parts.length ? Math.floor(value % size / parts[at + 1][0]) : 0;
    return `${Math.floor(value / size)} ${unit}` + (rest ? ` ${rest} ${parts[at + 1][1]}` : '');
}

export const clock = wall => new Date(wall).toLocaleTimeString();
export const date = wall => new Date(wall).toLocaleString();

// The end of a long name of the configuration, such as default/default/bind/8080/web/default/api/backend0.
export function short(name) {
    const parts = name.split('/');

    return parts.length > 3 ? parts.slice(-2).join('/') : name;
}
