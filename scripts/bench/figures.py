# SPDX-License-Identifier: Apache-2.0
"""The figures of PERFORMANCE.md, as SVG."""
import html

COLOURS = ("#1b6ac9", "#d1495b", "#3c8d2f", "#8a5cb8", "#c77d00", "#555555", "#00838f", "#9e9d24", "#6d4c41",
           "#e91e63")
LEGEND = 7  # program names per line


def text(x, y, words, anchor="middle", size=12):
    return (f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}">'
            f'{html.escape(words)}</text>')


def frame(title, body, height):
    return "\n".join((f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" '
                      f'font-family="sans-serif">', f'<rect width="760" height="{height}" fill="white"/>',
                      text(380, 20, title, size=14), *body, "</svg>", ""))


def bars(title, rows):
    """rows: {row: {name: value}}; a group of bars per row, with a mark at 1.0; bars end at 2.5."""
    names = list(dict.fromkeys(name for values in rows.values() for name in values))
    body, y = [], 40
    for row, values in rows.items():
        body.append(text(110, y + 8 * len(names), row, "end"))
        for name in names:
            if name in values:
                value = values[name]
                colour, width = COLOURS[names.index(name)], min(value, 2.5) * 200
                body += [f'<rect x="120" y="{y}" width="{width:.0f}" height="12" fill="{colour}"/>',
                         text(126 + width, y + 11, f"{value:.2f}", "start", 11)]
            y += 14
        y += 12
    body.append(f'<line x1="320" y1="34" x2="320" y2="{y}" stroke="black" stroke-dasharray="4"/>')
    for number, name in enumerate(names):
        x, line = 120 + number % LEGEND * 90, y + number // LEGEND * 16
        body += [f'<rect x="{x}" y="{line + 4}" width="10" height="10" fill="{COLOURS[number]}"/>',
                 text(x + 14, line + 14, name, "start", 11)]
    return frame(title, body, y + 24 + (len(names) - 1) // LEGEND * 16)


def lines_of(title, points, x_name, unit):
    """A growth curve: x on a logarithmic scale, one line per series."""
    series = {}
    for point in points:
        series.setdefault(point["series"], []).append((point["x"], point["value"]))
    xs = sorted({x for values in series.values() for x, _ in values})
    top = max(value for values in series.values() for _, value in values) or 1
    place = {x: 80 + 620 * number / max(1, len(xs) - 1) for number, x in enumerate(xs)}
    body = [f'<line x1="80" y1="300" x2="700" y2="300" stroke="black"/>',
            f'<line x1="80" y1="40" x2="80" y2="300" stroke="black"/>', text(390, 335, x_name),
            text(76, 44, f"{top:.3g}", "end", 11), text(76, 304, "0", "end", 11),
            text(80, 34, unit, "start", 11)]
    body += [text(place[x], 316, f"{x:g}", size=11) for x in xs]
    for number, (name, values) in enumerate(series.items()):
        path = " ".join(f"{place[x]:.0f},{300 - 250 * value / top:.0f}" for x, value in sorted(values))
        colour = COLOURS[number % len(COLOURS)]
        body += [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>',
                 f'<rect x="{90 + number % 4 * 160}" y="{346 + number // 4 * 16}" width="10" height="10" '
                 f'fill="{colour}"/>',
                 text(104 + number % 4 * 160, 356 + number // 4 * 16, name, "start", 11)]
    return frame(title, body, 366 + (len(series) + 3) // 4 * 16)
