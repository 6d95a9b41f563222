"""A plot of the run as SVG: answers in time and critical ones answered, by load."""

WIDTH, HEIGHT, LEFT, TOP, PANEL = 760, 340, 56, 44, 300
COLOURS = {"plimsoll": "#0b6bcb", "haproxy": "#b45309", "traefik": "#15803d", "none": "#6b7280"}
DASHES = {"plimsoll": "", "haproxy": "8 4", "traefik": "3 3", "none": "1 4"}


def panel(out, at, title, unit, most, loads, rows):
    left = LEFT + at * (PANEL + 84)
    right, bottom = left + PANEL, HEIGHT - 64
    x = {load: left + i * PANEL / max(1, len(loads) - 1) for i, load in enumerate(loads)}

    def y(value):
        return bottom - (bottom - TOP) * min(value, most) / most

    out.append(f'<text x="{left}" y="{TOP - 16}" font-weight="600">{title}</text>')
    for part in range(5):
        value = most * part / 4
        out.append(f'<path d="M{left} {y(value):.1f}H{right}" stroke="#8884"/>'
                   f'<text x="{left - 8}" y="{y(value) + 4:.1f}" text-anchor="end">'
                   f'{value:.0f}{unit}</text>')
    for load in loads:
        out.append(f'<text x="{x[load]:.1f}" y="{bottom + 18}" text-anchor="middle">{load} ×</text>')
    for name, values in rows.items():
        points = " ".join(f"{x[load]:.1f},{y(values[load]):.1f}" for load in loads)
        out.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" '
                   f'stroke-width="2.5" stroke-dasharray="{DASHES[name]}"/>')


def svg(loads, goodput, critical, capacity):
    """`goodput` and `critical` by system and load."""
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
           'font-family="system-ui, sans-serif" font-size="12" fill="#6b7280">',
           "<title>Answers in time, and critical requests answered, at 1 to 10 times what the "
           "service can take</title>"]
    panel(out, 0, "answered within 2 s, a second", "", capacity * 1.1, loads, goodput)
    panel(out, 1, "of the critical requests answered", " %", 100, loads, critical)
    for index, name in enumerate(goodput):
        at = LEFT + index * 170
        out.append(f'<path d="M{at} {HEIGHT - 18}h28" stroke="{COLOURS[name]}" stroke-width="2.5" '
                   f'stroke-dasharray="{DASHES[name]}"/>'
                   f'<text x="{at + 36}" y="{HEIGHT - 14}">{name}</text>')
    out.append("</svg>")
    return "\n".join(out) + "\n"
