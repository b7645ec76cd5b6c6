#!/usr/bin/env python3
"""Two pictures from what peer.py and scaling.py wrote: decode speed by batch size, and by context length.

The limit line is what no engine that reads the same bytes can pass: B / max(bytes of a step / bandwidth, operations
of a step / peak). Bytes and operations of a step are those `whet bench` counted (weights, keys and values);
bandwidth and peak are given, or else the ones it measured, whose peak is only its own kernel's speed in the cache.
Needs matplotlib.
"""
import argparse
import os

import matplotlib
import measure

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402 (the backend must be chosen first)

INK, QUIET, GRID = "#1f2430", "#6b7280", "#e6e8ec"
WHET = ["#d9480f", "#f59f00", "#e64980"]
PEERS = ["#1c7ed6", "#2f9e44", "#7048e8", "#0c8599", "#868e96"]


def style():
    plt.rcParams.update({"font.family": "DejaVu Sans", "font.size": 11, "text.color": INK, "axes.edgecolor": QUIET, "axes.labelcolor": INK,
                         "xtick.color": QUIET, "ytick.color": QUIET, "axes.spines.top": False, "axes.spines.right": False,
                         "axes.grid": True, "grid.color": GRID, "axes.axisbelow": True, "svg.hashsalt": "whet"})


def series(rows, x, y):
    """{contender: (kind, [(x, median, least, most)])} in the order of the file."""
    found = {}
    for r in rows:
        if r.get(y):
            found.setdefault(r["contender"], (r["kind"], {}))[1].setdefault(int(r[x]), []).append(float(r[y]))
    return {name: (kind, [(k, measure.median(v), min(v), max(v)) for k, v in sorted(xs.items())]) for name, (kind, xs) in found.items()}


def draw(ax, lines):
    """Curves with their spread; returns their right ends (y, x, name, color, is it Whet's)."""
    palette = {"whet": iter(WHET * 9), "peer": iter(PEERS * 9)}
    ends = []
    for name, (kind, pts) in lines.items():
        xs, ys = [p[0] for p in pts], [p[1] for p in pts]
        color, own = next(palette[kind]), kind == "whet"
        ax.errorbar(xs, ys, [[y - p[2] for y, p in zip(ys, pts)], [p[3] - y for y, p in zip(ys, pts)]], color=color,
                    lw=2.8 if own else 1.6, marker="o", ms=6 if own else 4, capsize=2, elinewidth=1, zorder=3 if own else 2)
        ends.append((ys[-1], xs[-1], name, color, own))
    return ends


def name_ends(ax, ends):
    """Write the names beside the ends, moved apart where they would overlap, each cluster around its middle."""
    place, gap = ax.transData, 0.19 * ax.figure.dpi
    ends = sorted(ends)
    clusters = []  # [names, height of the middle]
    for y, x, *_ in ends:
        clusters.append([1, place.transform((x, y))[1]])
        while len(clusters) > 1:
            (n, low), (m, high) = clusters[-2:]
            if high - low >= gap * (n + m) / 2:
                break
            clusters[-2:] = [[n + m, (n * low + m * high) / (n + m)]]
    heights = [middle + gap * (i - (n - 1) / 2) for n, middle in clusters for i in range(n)]
    for (y, x, name, color, bold), height in zip(ends, heights):
        where = place.inverted().transform((place.transform((x, y))[0], height))
        ax.annotate(name, where, xytext=(9, 0), textcoords="offset points", va="center", color=color,
                    fontweight="bold" if bold else "normal", annotation_clip=False)


def name_ratios(ax, lines):
    """How often Whet's first line has the best of the others, at each of its points."""
    whet = next((pts for kind, pts in lines.values() if kind == "whet"), [])
    for x, y, *_ in whet:
        others = [p[1] for kind, pts in lines.values() if kind == "peer" for p in pts if p[0] == x]
        if others:
            ax.annotate("%.1f×" % (y / max(others)), (x, y), xytext=(-4, 13), textcoords="offset points", ha="center", color=WHET[0],
                        fontweight="bold", fontsize=10, bbox={"fc": "white", "ec": "none", "pad": 1, "alpha": 0.85}, zorder=4)


def limit(rows, bandwidth, peak):
    """(x, t/s) of the limit line through the batch sizes of Whet's first contender."""
    mine = [r for r in rows if r["kind"] == "whet" and int(r["batch"]) and r.get("decode_gbps")]
    mine = [r for r in mine if r["contender"] == mine[0]["contender"]]
    line = {}
    for r in mine:
        batch, tps = int(r["batch"]), float(r["decode"])
        step_bytes, step_ops = float(r["decode_gbps"]) * batch / tps, float(r["decode_gflops"]) * batch / tps  # GB, GOP
        line[batch] = batch / max(step_bytes / (bandwidth or float(r["bandwidth_gbps"])), step_ops / (peak or float(r["peak_gflops"])))
    return sorted(line.items())


def finish(figure, ax, ends, path):
    name_ends(ax, ends)
    for ending in ("png", "svg"):
        figure.savefig("%s.%s" % (path, ending), dpi=150, bbox_inches="tight", metadata={"Date": None} if ending == "svg" else None)
        measure.say("%s.%s" % (path, ending))
    plt.close(figure)


def titles(figure, title, path, args):
    subtitle = (args.subtitle or os.path.basename(path).removesuffix(".csv")) + "; n×: Whet by the best peer"
    figure.text(0.06, 0.965, title, fontsize=15, fontweight="bold", va="top")
    figure.text(0.06, 0.905, subtitle, fontsize=10, color=QUIET, va="top")
    figure.subplots_adjust(left=0.09, right=0.8, top=0.83, bottom=0.12)


def ticks(ax, xs, ys):
    ax.set_xscale("log", base=2)
    ax.set_xticks(xs, [str(x) for x in xs])
    ax.set_yscale("log", base=2)
    low, high = min(ys), max(ys)
    steps = [m * 10 ** e for e in range(-2, 6) for m in (1, 2, 5)]
    shown = [s for s in steps if low / 2 < s < high * 2]
    ax.set_yticks(shown, ["%g" % s for s in shown])
    ax.minorticks_off()
    ax.set_ylim(low * 0.7, high * 1.35)


def plot_peer(path, args):
    rows = measure.read_csv(path)
    decode = [r for r in rows if int(r["batch"])]
    lines = series(decode, "batch", "tps")
    figure, ax = plt.subplots(figsize=(9.5, 5.6))
    titles(figure, "Decoding parallel samples on the CPU", path, args)
    ends = draw(ax, lines)
    top = limit(decode, args.bandwidth, args.peak and args.peak * 1000)
    ax.plot([x for x, _ in top], [y for _, y in top], color=INK, lw=1.2, ls=(0, (5, 3)), zorder=1)
    ends.append((top[-1][1], top[-1][0], "limit", INK, False))
    ticks(ax, [x for x, _ in top], [p[1] for _, pts in lines.values() for p in pts] + [y for _, y in top])
    ax.set_xlabel("sequences decoded together")
    ax.set_ylabel("tokens/s, all together")
    name_ratios(ax, lines)
    finish(figure, ax, ends, path.removesuffix(".csv"))


def plot_context(path, args):
    rows = [r for r in measure.read_csv(path) if r["part"] == "context"]
    lines = series(rows, "x", "decode")
    figure, ax = plt.subplots(figsize=(9.5, 5.6))
    titles(figure, "16 samples of one problem, by length of its prompt", path, args)
    ends = draw(ax, lines)
    ticks(ax, sorted({int(r["x"]) for r in rows}), [p[1] for _, pts in lines.values() for p in pts])
    ax.set_xlabel("tokens of context")
    ax.set_ylabel("decode tokens/s, all together")
    name_ratios(ax, lines)
    finish(figure, ax, ends, path.removesuffix(".csv") + "-context")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("csv", nargs="+", help="files that peer.py or scaling.py wrote; pictures go beside them")
    p.add_argument("--bandwidth", type=float, metavar="GB/S", help="of the machine's memory, for the limit line")
    p.add_argument("--peak", type=float, metavar="TOP/S", help="of the machine's int8 units, for the limit line")
    p.add_argument("--subtitle", help="model and machine, under the title")
    args = p.parse_args()
    style()
    for path in args.csv:
        head = measure.read_csv(path)
        (plot_context if head and "part" in head[0] else plot_peer)(path, args)


if __name__ == "__main__":
    main()
