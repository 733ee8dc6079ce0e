"""Rows of `step_time.py` as the Markdown table of the README; if a case has two rows, the row of the later file.

python benchmarks/table.py benchmarks/records/*_step_time*/rows.jsonl
"""

import sys

from rows import read

PEERS = (  # in the order of the columns
    "torch, pooled",
    "torch.func, stacked",
    "torch.compile, pooled",
    "torch, pooled, alternating",
    "jax vmap, autodiff",
    "jax, pair by pair",
    "torch, pair by pair",
)


def main():
    """Prints the table."""
    rows = {(row["case"], row["M"], row["B"]): row for file in sys.argv[1:] for row in read(file)}
    print("| case | M = N | B | of the matrix product | " + " | ".join(PEERS) + " |")
    print("|---|---|---|---|" + "---|" * len(PEERS))
    for _, row in sorted(rows.items()):
        ratios = [row["times_ensgan"].get(name) for name in PEERS]
        cells = ["–" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        print(f"| {row['case']} | {row['M']} | {row['B']} | {row['of_matrix_product']:.2f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
