#!/bin/sh
# The server of final/ beside the step execute, nginx (2 workers) and
# libmicrohttpd (a pool of 4), the sides by turns; medians of RUNS (default 5).
# The raw data goes to build/bench. Only ratios mean anything on a machine that
# does other things at the same time: it is said how busy this one was.
set -eu
cd "$(dirname "$0")/../.."
runs=${RUNS:-5}
seconds=${SECONDS_OF_WRK:-2}
port=${PORT:-7979}
top=$PWD
out=$top/build/bench
mkdir -p "$out"
for tool in wrk nginx; do
    command -v $tool > /dev/null || { echo "There is no $tool: make setup-bench" >&2; exit 2; }
done
cc -std=gnu17 -O2 -Wall -Wextra -o "$out/server" tests/bench/server.c \
    tests/support/answer.c
cc -std=gnu17 -O2 -Wall -Wextra -o "$out/server_mhd" tests/bench/server_mhd.c \
    -lmicrohttpd
make -s -C steps/??-execute
make -s -C final
for keep in 0 60; do
    cat > "$out/nginx-$keep.conf" <<END
worker_processes 2;
daemon off;
pid $out/nginx.pid;
error_log $out/nginx.log crit;
worker_rlimit_nofile 20000;
events { worker_connections 16000; }
http {
    access_log off;
    types { text/html html; }
    sendfile on;
    client_body_temp_path $out;
    proxy_temp_path $out;
    fastcgi_temp_path $out;
    uwsgi_temp_path $out;
    scgi_temp_path $out;
    keepalive_timeout $keep;
    keepalive_requests 100000000;
    server { listen 127.0.0.1:$port backlog=4096; root $top/assets; index hello.html; }
}
END
done
rm -f "$out"/server-*.tsv

# The command that starts a server.
command_of() {
    case $1 in
    final) echo "$top/final/server --quiet --port $port --root $top/assets" ;;
    execute) echo "$(ls "$top"/steps/??-execute/server) $port" ;;
    nginx0) echo "nginx -c $out/nginx-0.conf" ;;
    nginx) echo "nginx -c $out/nginx-60.conf" ;;
    mhd) echo "$out/server_mhd $port $top/assets/hello.html" ;;
    esac
}
# Runs our client against a server; its figures become a line of raw data.
measure() { # NAME MODE COUNT CLIENTS
    # shellcheck disable=SC2046
    (cd assets && "$out/server" "$2" $port "$3" "$4" $(command_of "$1")) \
        >> "$out/server-$2-$4-$1.tsv" 2>> "$out/server.log"
}
# The same with wrk: requests per second, microseconds for 99 %, errors.
measure_wrk() { # NAME CONNECTIONS
    # shellcheck disable=SC2046
    (cd assets && exec $(command_of "$1")) > /dev/null 2>> "$out/server.log" &
    pid=$!
    tries=0
    until curl -s -o /dev/null http://127.0.0.1:$port/; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { echo "$1 does not start" >&2; exit 1; }
        sleep 0.05
    done
    wrk --latency -t 1 -c "$2" -d "$seconds" http://127.0.0.1:$port/ |
        awk '$1 == "99%" { us = $2 * ($2 ~ /ms/ ? 1000 : $2 ~ /us/ ? 1 : 1000000) }
            /Requests\/sec/ { rate = $2 }
            /Socket errors|Non-2xx/ { bad = 1 }
            END { printf "%d\t%d\t%d\n", rate, us, bad }' \
            >> "$out/server-wrk-$2-$1.tsv"
    kill $pid
    wait $pid || true
}

# The median of column $2 of raw data $1; the sum; a ratio.
median() {
    cut -f "$2" "$out/server-$1.tsv" | sort -n | sed -n "$((runs / 2 + 1))p"
}
sum() {
    cut -f "$2" "$out/server-$1.tsv" | awk '{ n += $1 } END { print n }'
}
ratio() {
    awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f", a / (b > 0 ? b : 1) }'
}
load() {
    cut -d ' ' -f 1-3 /proc/loadavg
}

before=$(load)
for _ in $(seq "$runs"); do
    for clients in 1 16 256; do
        for name in final execute nginx0 mhd; do
            measure $name close 5000 $clients
        done
    done
    for connections in 16 256; do
        for name in final nginx mhd; do
            measure_wrk $name $connections
        done
    done
    for name in final execute; do
        measure $name flood 3000 3000
    done
    for idle in 0 10 100 1000 9900; do
        measure final idle 3000 $idle
    done
done

echo "Load of the machine (1, 5, 15 min): $before before, $(load) after; $(nproc) CPUs."
echo "Medians of $runs runs; failures are the sum."
echo
echo "A connection for each request: the server's CPU per request"
echo "clients   final  execute (ratio)     nginx (ratio)       mhd (ratio)  failures"
for clients in 1 16 256; do
    ours=$(median close-$clients-final 3)
    printf '%7s  %6s' $clients "$ours"
    for name in execute nginx0 mhd; do
        theirs=$(median close-$clients-$name 3)
        printf '  %8s (%s)' "$theirs" "$(ratio "$ours" "$theirs")"
    done
    printf '  %8s\n' "$(sum close-$clients-final 2)"
done
echo "to reach:          (0.70)            (0.55)            (0.60)         0"
echo
echo "Keep-alive (wrk): requests per second, and ms that 99 % took at most"
echo "connections   final           nginx (ratio)           mhd (ratio)"
for connections in 16 256; do
    ours=$(median wrk-$connections-final 1)
    printf '%11s  %6s %6s' $connections "$ours" \
        "$(ratio "$(median wrk-$connections-final 2)" 1000)"
    for name in nginx mhd; do
        theirs=$(median wrk-$connections-$name 1)
        printf '  %8s (%s) %6s' "$theirs" "$(ratio "$ours" "$theirs")" \
            "$(ratio "$(median wrk-$connections-$name 2)" 1000)"
    done
    printf '\n'
done
echo "to reach:                          (2.00)                 (1.00)"
echo
echo "3,000 connections at once: seconds, failures, threads"
for name in final execute; do
    printf '%7s  %s s  %s  %s\n' $name "$(median flood-3000-$name 1)" \
        "$(sum flood-3000-$name 2)" "$(median flood-3000-$name 6)"
done
echo "to reach: 0.150 s  0  5"
echo
echo "One busy connection beside idle ones"
echo "   idle   us CPU/request   us 50 %   us 99 %   bytes/idle   us CPU/quiet s"
for idle in 0 10 100 1000 9900; do
    printf '%7s  %15s  %8s  %8s  %11s  %15s\n' $idle \
        "$(median idle-$idle-final 3)" "$(median idle-$idle-final 4)" \
        "$(median idle-$idle-final 5)" "$(median idle-$idle-final 7)" \
        "$(median idle-$idle-final 8)"
done
