#!/usr/bin/env bash
# Every benchmark on the accelerator of this machine, one JSON row each into FOLDER/rows.jsonl:
#
#     pip install -e '.[cuda12,bench]' && bash benchmarks/accelerator.sh FOLDER [SECONDS]
#
# The largest questions come first, so that a short loan of a machine answers them: the step against PyTorch, and how members
# should be executed (`auto` takes vmap there until rows say otherwise). SECONDS bounds each line (120 by default).
set -u
cd "$(dirname "$0")/.."
folder=${1:?give a folder for the rows}
seconds=${2:-120}
mkdir -p "$folder"
rows=$folder/rows.jsonl

one() {
  echo "+ $*" >&2
  timeout "$seconds" python "$@" --out "$rows" >/dev/null 2>>"$folder/errors.txt" || echo "  ended with $?" >&2
}

for case in mlp dcgan r3gan; do one benchmarks/step_time.py --case $case --members 8 --rounds 5; done
for case in mlp dcgan r3gan; do
  one benchmarks/step_time.py --case $case --members 8 --rounds 5 --precision tensorfloat32 --peers "torch, pooled"
done
for case in mlp dcgan r3gan; do
  for execute in vmap unroll matmul; do
    one benchmarks/step_time.py --case $case --members 8 --rounds 5 --execute $execute --peers "torch, pooled"
  done
done
for members in 1 2 4 16 32; do
  one benchmarks/step_time.py --case mlp dcgan --members $members --rounds 5 --pairs-up-to 4
done
one benchmarks/coverage.py --rounds 5 --full-up-to 64
one benchmarks/penalty_time.py
one benchmarks/streaming.py --size 64 --members 8
echo "rows: $rows, messages: $folder/errors.txt" >&2
