#!/usr/bin/python3
"""Draws how the daemon's figures grow with its store, from the lines that `daemon_bench.py grow` keeps.

    tests/bench/plot.py tests/bench/results/growth.jsonl > docs/growth.svg

Both axes are logarithmic; the dashed line's slope is growth in proportion to the jobs.  Small multiples, 800 px wide, light
or dark as the reader's system is."""
import html
import json
import math
import pathlib
import sys

COLUMNS, WIDTH, HEIGHT, HEAD = 3, 800, 214, 52
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 56, 30  # of a panel, around its curves
PANELS = [  # title, unit, {series: its name in the legend}
    ("submit of all jobs", "s", {"submit": "acknowledged"}),
    ("start, and start after kill -9", "ms", {"start": "start", "recover, ready": "after kill -9",
                                              "recover, adopted": "8 workers adopted"}),
    ("done to next start", "ms", {"next, p50": "p50", "next, p99": "p99"}),
    ("metric lines stored", "lines/s", {"metric lines": "8 workers"}),
    ("resident memory", "MiB", {"resident, idle": "empty store", "resident, submitted": "submitted",
                                "resident, restarted": "restarted"}),
    ("first page of a view", "ms", {"first page, results": "results", "first page, leaderboard": "leaderboard",
                                    "first page, curves": "curves", "first page, queue": "queue"}),
    ("sweepctl", "ms", {"sweepctl list": "list", "sweepctl list s1": "list s1", "sweepctl results s1": "results s1"}),
    ("database", "MiB", {"database, queued": "queued", "database, finished": "9 in 10 done"}),
]
FORMS = """
svg { font: 11px system-ui, sans-serif } .title { font-weight: 600 } .end { text-anchor: end } .mid { text-anchor: middle }
.linear { stroke-dasharray: 4 4 } .curve { fill: none; stroke-width: 1.8 }
"""
LIGHT = ("#ffffff", "#24292f", "#6e7781", "#d8dee4", "#0a58ca", "#c2410c", "#15803d", "#7e22ce")
DARK = ("#0d1117", "#e6edf3", "#9198a1", "#30363d", "#6ea8fe", "#fb923c", "#4ade80", "#c084fc")


def colours(ground, ink, soft, grid, *series):
    """Rules of a style sheet, without variables: not every program that shows SVG knows them."""
    rules = [f".ground {{ fill: {ground} }} text {{ fill: {ink} }} .soft {{ fill: {soft} }}",
             f".grid {{ stroke: {grid} }} .linear {{ stroke: {soft} }}"]
    rules += [f".curve.s{i} {{ stroke: {colour} }} .point.s{i} {{ fill: {colour} }}" for i, colour in enumerate(series)]
    return "\n".join(rules)


STYLE = f"{FORMS}{colours(*LIGHT)}\n@media (prefers-color-scheme: dark) {{\n{colours(*DARK)}\n}}\n"


def short(value):
    """12.5, 1k, 1M."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(value) >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


class Panel:
    def __init__(self, x, y, panel, rows):
        self.x, self.y = x, y
        self.title, self.unit, names = panel
        self.width = WIDTH / COLUMNS - LEFT - RIGHT
        self.height = HEIGHT - TOP - BOTTOM
        self.series = [(label, sorted((row["jobs"], row["value"]) for row in rows if row["name"] == name))
                       for name, label in names.items()]
        points = [point for _, curve in self.series for point in curve]
        self.x_range = [math.log10(f(n for n, _ in points)) for f in (min, max)]
        self.y_range = [math.floor(math.log10(min(v for _, v in points))), math.ceil(math.log10(max(v for _, v in points)))]
        if self.y_range[0] == self.y_range[1]:
            self.y_range[1] += 1

    def at(self, n, value):
        share_x = (math.log10(n) - self.x_range[0]) / max(self.x_range[1] - self.x_range[0], 1e-9)
        share_y = (math.log10(value) - self.y_range[0]) / (self.y_range[1] - self.y_range[0])
        return self.x + LEFT + share_x * self.width, self.y + TOP + (1 - share_y) * self.height

    def grid(self):
        for power in range(self.y_range[0], self.y_range[1] + 1):
            left, y = self.at(10 ** self.x_range[0], 10.0 ** power)
            yield f'<line class="grid" x1="{left:.1f}" x2="{left + self.width:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
            yield f'<text class="soft end" x="{left - 5:.1f}" y="{y + 4:.1f}">{short(10.0 ** power)}</text>'
        for power in range(math.ceil(self.x_range[0]), math.floor(self.x_range[1]) + 1):
            x, y = self.at(10 ** power, 10.0 ** self.y_range[0])
            yield f'<text class="soft mid" x="{x:.1f}" y="{y + 15:.1f}">{short(10 ** power)}</text>'

    def linear(self):
        """From the lowest curve's first point to where it leaves the panel; of other curves it is the slope."""
        n, value = min((curve[0] for _, curve in self.series if curve), key=lambda point: point[1])
        last = min(10 ** self.x_range[1], n * 10.0 ** self.y_range[1] / value)
        (x1, y1), (x2, y2) = self.at(n, value), self.at(last, value * last / n)
        return f'<line class="linear" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'

    def legend(self):
        x, y = self.x + LEFT, self.y + 31
        for i, (label, _) in enumerate(self.series):
            wide = 14 + 6.0 * len(label)
            if x + wide > self.x + WIDTH / COLUMNS:
                x, y = self.x + LEFT, y + 14
            yield f'<circle class="point s{i}" cx="{x + 3:.1f}" cy="{y - 4:.1f}" r="3.5"/>'
            yield f'<text x="{x + 10:.1f}" y="{y:.1f}">{html.escape(label)}</text>'
            x += wide + 6

    def svg(self):
        yield f'<text class="title" x="{self.x + LEFT:.1f}" y="{self.y + 15:.1f}">{html.escape(self.title)}, {self.unit}</text>'
        yield from self.legend()
        yield from self.grid()
        if not self.unit.endswith("/s"):  # a rate should not grow
            yield self.linear()
        for i, (label, curve) in enumerate(self.series):
            places = [self.at(n, value) for n, value in curve]
            yield f'<polyline class="curve s{i}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>'
            for (x, y), (n, value) in zip(places, curve):
                about = html.escape(f"{label}, {n:,} jobs: {value:g} {self.unit}")
                yield f'<circle class="point s{i}" cx="{x:.1f}" cy="{y:.1f}" r="2.8"><title>{about}</title></circle>'


def draw(rows):
    rows = [row for row in rows if row["value"] > 0]  # others have no place on a logarithmic axis
    names = {row["name"] for row in rows}
    panels = [panel for panel in PANELS if names & set(panel[2])]
    height = HEAD + HEIGHT * math.ceil(len(panels) / COLUMNS)
    machine = " / ".join(dict.fromkeys(row["machine"] for row in rows))
    loads = [row["load"] for row in rows]
    yield (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" role="img" '
           f'aria-label="How the daemon\'s figures grow with the jobs in its store">')
    yield f"<style>{STYLE}</style>"
    yield f'<rect class="ground" width="{WIDTH}" height="{height}"/>'
    yield (f'<text class="title" x="{LEFT}" y="20">By jobs in the store; both axes logarithmic, dashed: growth in proportion '
           f'to the jobs</text>')
    yield (f'<text class="soft" x="{LEFT}" y="37">{html.escape(machine)}; load {min(loads):g} to {max(loads):g}, '
           f'{rows[-1]["at"][:10]}</text>')
    for i, panel in enumerate(panels):
        yield from Panel(i % COLUMNS * WIDTH / COLUMNS, HEAD + i // COLUMNS * HEIGHT, panel, rows).svg()
    yield "</svg>"


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        raise SystemExit(__doc__)
    lines = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()
    print("\n".join(draw([json.loads(line) for line in lines])))


if __name__ == "__main__":
    main()
