#!/bin/sh
# A thread per request, and the pool, under the same load, by turns; medians of RUNS (default 5).
set -eu
cd "$(dirname "$0")/../.."
runs=${RUNS:-5}
build=$PWD/build/bench
mkdir -p "$build"
port=${PORT:-7979}
cc -std=gnu17 -O2 -Wall -Wextra -o "$build/server" tests/bench/server.c \
    tests/support/answer.c
sides='thread-per-request execute'
for step in $sides; do
    make -s -C steps/??-"$step" server
done

# Runs one measurement once; its figures go to a file of raw data.
measure() {
    (cd assets && "$build/server" "$2" "$port" "$3" "$4" \
        "$(ls ../steps/??-"$1"/server)" "$port") >> "$build/$1-$2.tsv"
}
rm -f "$build"/*-close.tsv "$build"/*-flood.tsv
for _ in $(seq "$runs"); do
    for step in $sides; do
        measure $step close 20000 16
        measure $step flood 3000 3000
    done
done

# The median of column $2 of a file.
median() {
    cut -f "$2" "$1" | sort -n | sed -n "$((runs / 2 + 1))p"
}
row() {
    file=$build/$1-$2.tsv
    seconds=$(median "$file" 1)
    printf '%-18s  %-30s  %7s s  %7s /s  %5s failed  %6s us CPU  %5s threads  %6s KiB\n' \
        "$1" "$3" "$seconds" "$(echo "$4 $seconds" | awk '{printf "%d", $1 / $2}')" \
        "$(cut -f 2 "$file" | awk '{n += $1} END {print n}')" \
        "$(median "$file" 3)" "$(cut -f 6 "$file" | sort -n | tail -n 1)" \
        "$(cut -f 9 "$file" | sort -n | tail -n 1)"
}
echo "Medians of $runs runs (failures: their sum; threads, memory: the most)"
echo "step                load"
for step in $sides; do
    row $step close '20,000 requests, 16 at a time' 20000
    row $step flood '3,000 connections at once' 3000
done
