"""A table of measurements: of `flagdit bench --json` and of peers_gpu.py, whose lines stand in the files given.

    python3 table.py FILE...

Ours stands with its API and the name of its file, which says what was measured (bench-nano-q4).
Under it: where ours was measured at three lengths or more, how far its times are from b * tokens + c * tokens^2 (what is done
to each token, and attention), and its memory from a + b * tokens: the largest relative errors of the best fits.
"""
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

KERNELS = 6


def rows(files):
    for file in files:
        part = Path(file).stem
        for line in open(file, errors="replace"):
            try:
                row = json.loads(line)
            except ValueError:
                continue
            if not isinstance(row, dict):
                continue
            if row.get("type") == "bench":
                where = row["adapter"]
                size = f"{row['tokens']} tokens"
                work = "" if row["work"] == "denoiser" else f", {row['steps']} steps of {row['solver']}"
                memory = row.get("deviceMemoryBytes") or row.get("peakMemoryBytes") or 0
                yield dict(what=f"{row['model']}, {size}{work}, batch {row['batch']}", engine=f"{where['backend']}, {part}",
                           ms=row["stepMs"], card_ms=sum(kernel["ms"] for kernel in row.get("kernels", [])) or None,
                           gflops=row["gflops"], mib=memory >> 20, first=row["firstStepMs"], load=row["loadMs"],
                           whole=row.get("generationMs"), kernels=row.get("kernels", []), tokens=row["tokens"],
                           series=f"{where['backend']}, {part.rsplit('-', 1)[0]}")
            elif "engine" in row:
                yield row


def number(value, places=0):
    return "" if value is None else f"{value:.{places}f}"


def deviation(points, terms):
    """The largest relative error of the least-squares fit of y by two terms of x, each point counted relatively."""
    columns = [[term(x) / y for x, y in points] for term in terms]
    dot = lambda a, b: sum(p * q for p, q in zip(a, b))
    (a, b), ones = columns, [1.0] * len(points)
    det = dot(a, a) * dot(b, b) - dot(a, b) ** 2
    if det == 0:
        return None
    p = (dot(a, ones) * dot(b, b) - dot(b, ones) * dot(a, b)) / det
    q = (dot(b, ones) * dot(a, a) - dot(a, ones) * dot(a, b)) / det
    return max(abs(p * u + q * v - 1) for u, v in zip(a, b))


def main(files):
    all_rows = sorted(rows(files), key=lambda row: re.split('[-,]', row["what"])[0])
    head = f"{'':<58} {'':<32} {'ms':>10} {'card ms':>9} {'GFLOP/s':>9} {'MiB':>7} {'first':>8} {'load':>8} {'whole':>8}"
    print(head)
    series = defaultdict(list)
    for row in all_rows:
        if "off" in row:
            print(f"{row['what']:<58} {row['engine']:<32} relative differences {', '.join(f'{off:.1e}' for off in row['off'])}")
            continue
        what = row["what"] + (f" ({row['gbytes']:.0f} GB/s)" if "gbytes" in row else "")
        print(f"{what:<58} {row['engine']:<32} {number(row['ms'], 3):>10} {number(row.get('card_ms'), 3):>9} "
              f"{number(row.get('gflops')):>9} {number(row.get('mib')):>7} {number(row.get('first')):>8} "
              f"{number(row.get('load')):>8} {number(row.get('whole')):>8}")
        if "series" in row:
            series[row["series"]].append(row)
    for name, of in series.items():
        if len({row["tokens"] for row in of}) < 3:
            continue
        tokens = [row["tokens"] for row in of]
        time = deviation([(row["tokens"], row["ms"]) for row in of], [lambda n: n, lambda n: n * n])
        memory = deviation([(row["tokens"], row["mib"]) for row in of if row["mib"]], [lambda n: 1, lambda n: n])
        print(f"{name}, {min(tokens)} to {max(tokens)} tokens: times within {number(time and 100 * time, 1)} % of "
              f"b n + c n^2, memory within {number(memory and 100 * memory, 1)} % of a + b n")
    for row in all_rows:
        if row.get("kernels"):
            print(f"{row['engine']}: " + "; ".join(
                f"{kernel['share'] * 100:.0f} % {kernel['name']} ({kernel['launches']}x, {kernel['ms']:.2f} ms)"
                for kernel in row["kernels"][:KERNELS]))


if __name__ == "__main__":
    main(sys.argv[1:])
