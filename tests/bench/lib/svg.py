# SPDX-License-Identifier: MIT
"""Curves as small SVG pictures, on logarithmic axes; nothing but text."""

import math

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 480, 260, 64, 36, 28, 96
COLOURS = ("#1b6ca8", "#c0392b", "#27864a", "#8e5fa2", "#b9770e")


def scale_of(values, length):
    """A function from a value to its place on an axis of that length."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    high = max(high, low + 1)
    return (lambda value: (math.log10(value) - low) / (high - low) * length), low, high


def label(value):
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{name}"
    return f"{value:g}"


def axes(to_x, to_y, x_range, y_range):
    lines = []
    for power in range(x_range[0], x_range[1] + 1):
        x = LEFT + to_x(10 ** power)
        lines.append(f'<line x1="{x:.0f}" y1="{TOP}" x2="{x:.0f}" y2="{HEIGHT - BOTTOM}"/>')
        lines.append(f'<text x="{x:.0f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">'
                     f'{label(10 ** power)}</text>')
    for power in range(y_range[0], y_range[1] + 1):
        y = HEIGHT - BOTTOM - to_y(10 ** power)
        lines.append(f'<line x1="{LEFT}" y1="{y:.0f}" x2="{WIDTH - RIGHT}" y2="{y:.0f}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y + 4:.0f}" text-anchor="end">'
                     f'{label(10 ** power)}</text>')
    return lines


def curves(title, x_name, named):
    """@named: [(name, [(x, y)])], all above 0; the text of a picture."""
    xs = [x for _, points in named for x, _ in points]
    ys = [y for _, points in named for _, y in points]
    to_x, *x_range = scale_of(xs, WIDTH - LEFT - RIGHT)
    to_y, *y_range = scale_of(ys, HEIGHT - BOTTOM - TOP)
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
             'font-family="sans-serif" font-size="11">',
             '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="{LEFT}" y="16" font-weight="bold">{title}</text>',
             f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 4}" '
             f'text-anchor="middle">{x_name}</text>', '<g stroke="#ddd" fill="#333">',
             *[line.replace("<text", '<text stroke="none"')
               for line in axes(to_x, to_y, x_range, y_range)], "</g>"]
    for number, (name, points) in enumerate(named):
        colour = COLOURS[number % len(COLOURS)]
        places = [(LEFT + to_x(x), HEIGHT - BOTTOM - to_y(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                     'stroke-width="2"/>')
        lines += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>'
                  for x, y in places]
        lines.append(f'<text x="{WIDTH - RIGHT + 8}" y="{places[-1][1] + 4:.0f}" '
                     f'fill="{colour}">{name}</text>')
    return "\n".join([*lines, "</svg>", ""])
