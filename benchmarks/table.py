"""Rows of `step_time.py` as the Markdown table of the README.

python benchmarks/table.py benchmarks/records/DATE_step_time.jsonl
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
    rows = read(sys.argv[1])
    print("| case | M = N | of the matrix product | " + " | ".join(PEERS) + " |")
    print("|---|---|---|" + "---|" * len(PEERS))
    for row in sorted(rows, key=lambda row: (row["case"], row["M"])):
        ratios = [row["times_ensgan"].get(name) for name in PEERS]
        cells = ["–" if ratio is None else f"{ratio:.2f}" for ratio in ratios]
        print(f"| {row['case']} | {row['M']} | {row['of_matrix_product']:.2f} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
