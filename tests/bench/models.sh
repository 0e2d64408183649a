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
echo "$# programs, seven loads, $runs runs: about $(($# * runs / 3 + 1)) minutes" >&2
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
number=0
while IFS='|' read -r _ mode count clients sleepers silent; do
    number=$((number + 1))
    rm -f "$build"/model-"$number"-*.tsv
    for _ in $(seq "$runs"); do
        for step; do
            can "$step" "$mode" || continue
            # shellcheck disable=SC2046
            (cd assets && SLEEPERS=$sleepers SILENT=$silent "$build/server" \
                "$mode" "$port" "$count" "$clients" $(command_of "$step") \
                2> "$build/model.err") >> "$build/model-$number-$step.tsv"
        done
    done
done < "$build/loads"

# The median of column $2 of a file.
median() {
    cut -f "$2" "$1" | sort -n | sed -n "$((runs / 2 + 1))p"
}
echo "Medians of $runs runs. CPU: microseconds a request; p99: milliseconds that" \
    "99 % took at most;" "failed: those that were refused with 503 among them."
number=0
while IFS='|' read -r name mode count _; do
    number=$((number + 1))
    printf '\n%s\n%-8s %10s %8s %8s %9s %10s %8s\n' "$name" step pages/s CPU \
        p99 threads KiB failed
    for step; do
        can "$step" "$mode" || continue
        file=$build/model-$number-$step.tsv
        failed=$(cut -f 2 "$file" | awk '{ n += $1 } END { print n }')
        printf '%-8s %10.0f %8.1f %8.1f %9s %10s %8s\n' "$step" \
            "$(echo "$count $failed $runs $(median "$file" 1)" |
                awk '{ print ($1 - $2 / $3) / $4 }')" \
            "$(median "$file" 3)" \
            "$(median "$file" 5 | awk '{ print $1 / 1000 }')" \
            "$(cut -f 6 "$file" | sort -n | tail -n 1)" \
            "$(cut -f 9 "$file" | sort -n | tail -n 1)" \
            "$failed"
    done
done < "$build/loads"
