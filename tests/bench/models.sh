#!/bin/sh
# The models of concurrency that the course builds, under the same loads, by
# turns; medians of RUNS (default 3).
# A connection for each request, and in the last table connections that stay.
#
#     make -C tests/bench models
#     RUNS=1 tests/bench/models.sh 07 14       these alone
set -eu
cd "$(dirname "$0")/../.."
runs=${RUNS:-3}
port=${PORT:-7979}
build=$PWD/build/bench
top=$PWD
mkdir -p "$build"
cc -std=gnu17 -O2 -Wall -Wextra -o "$build/server" tests/bench/server.c \
    tests/support/answer.c
[ $# != 0 ] || set -- 01 03 07 12 13 14 final
for step; do
    make -s -C "$(echo steps/"$step"-* | sed 's,^steps/final-.*,final,')" server
done
echo "The models, $runs runs of $# programs: about $(($# * runs * 13 / 60 + 1)) minutes" >&2
# name, mode, requests, clients, sleepers, silent ones
cat > "$build/loads" <<'END'
1 client|close|4000|1|0|0
16 clients|close|10000|16|0|0
256 clients|close|10000|256|0|0
5,000 clients|close|5000|5000|0|0
16 clients beside 4 that asked for /sleep|close|2000|16|4|0
16 clients beside 4 that say nothing|close|2000|16|0|4
16 clients whose connections stay|keep|40000|16|0|0
END
# Can this step do that? Only some keep their connections.
can() {
    [ "$2" = close ] || [ "$(tests/support/steps.py "$1" keeps_alive)" = 1 ]
}
command_of() {
    case $1 in
    final) echo "$top/final/server --quiet --port $port --root $top/assets" ;;
    *) echo "$(echo "$top"/steps/"$1"-*/server) $port" ;;
    esac
}
rm -f "$build/models.tsv"
while IFS='|' read -r name mode count clients sleepers silent; do
    for _ in $(seq "$runs"); do
        for step; do
            can "$step" "$mode" || continue
            printf '%s\t%s\t' "$name" "$step" >> "$build/models.tsv"
            # shellcheck disable=SC2046
            (cd assets && SLEEPERS=$sleepers SILENT=$silent "$build/server" \
                "$mode" "$port" "$count" "$clients" $(command_of "$step")) \
                >> "$build/models.tsv" 2> "$build/models.log"
        done
    done
done < "$build/loads"

echo "Medians of $runs runs. CPU: microseconds a request. ms,99%: that 99 % of them" \
    "took at most. failed: the sum of those that were not answered with 200," \
    "refused with 503 among them. ratio: the first row divided by this one."
cut -d '|' -f 1 "$build/loads" | while IFS= read -r name; do
    tests/bench/tables "$build/models.tsv" "$name" pages/s=10,0,compare \
        CPU=3,1,compare ms,99%:1000=5,1,median threads=6,0,most KiB=9,0,most \
        failed=2,0,sum
done
