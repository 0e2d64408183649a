#!/bin/sh
# The server of final/ beside others, the sides by turns; medians of RUNS
# (default 9). The raw data goes to build/bench/server.tsv. Only ratios mean
# anything on a machine that does other things at the same time: it is said how
# busy this one was.
#
#     make -C tests/bench server
#     RUNS=1 tests/bench/server.sh close flood     these loads alone
#
# The others have as many threads or processes as there are CPUs (WORKERS), but
# lighttpd, which has one. All serve one folder; none writes a log.
set -eu
cd "$(dirname "$0")/../.."
runs=${RUNS:-9}
port=${PORT:-7979}
workers=${WORKERS:-$(nproc)}
older=d8ba03a
top=$PWD
out=$top/build/bench
pages=$out/pages
raw=$out/server.tsv
PATH=$PATH:/usr/sbin # where Debian has some servers
for tool in wrk nginx h2o lighttpd; do
    command -v $tool > /dev/null || { echo "There is no $tool: make setup-bench" >&2; exit 2; }
done
[ $# != 0 ] || set -- close keep flood idle big loops
echo "The server, $runs runs of $*: about $((runs * $# * 14 / 60 + 1)) minutes" >&2

mkdir -p "$pages"
cp assets/*.html "$pages"
head -c 1048576 /dev/zero > "$pages/big.bin"
cc -std=gnu17 -O2 -Wall -Wextra -o "$out/server" tests/bench/server.c \
    tests/support/answer.c
cc -std=gnu17 -O2 -Wall -Wextra -o "$out/server_mhd" tests/bench/server_mhd.c \
    -lmicrohttpd
make -s -C steps/??-execute
make -s -C final
mkdir -p "$out/$older"
if git archive $older final 2> /dev/null | tar -x -C "$out/$older" 2> /dev/null; then
    make -s -C "$out/$older/final"
    older_final=final-$older
else
    older_final=
    echo "LEFT OUT: final as it was at commit $older, which this copy of the" \
        "repository does not have (git fetch --unshallow)" >&2
fi

nginx_conf() { # FILE, more for http
    cat > "$out/$1" <<END
daemon off;
$([ "$(id -u)" != 0 ] || echo "user root;")
worker_processes $workers;
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
    keepalive_timeout 60;
    keepalive_requests 100000000;
    $2
    server { listen 127.0.0.1:$port backlog=4096; root $pages; index hello.html; }
}
END
}
nginx_conf nginx.conf ''
nginx_conf nginx-cache.conf 'open_file_cache max=1000;'
cat > "$out/h2o.conf" <<END
$([ "$(id -u)" != 0 ] || echo "user: root")
num-threads: $workers
max-connections: 16000
http1-request-timeout: 60
listen: { host: 127.0.0.1, port: $port }
file.index: [hello.html]
hosts: { default: { paths: { /: { file.dir: $pages } } } }
END
cat > "$out/lighttpd.conf" <<END
server.bind = "127.0.0.1"
server.port = $port
server.document-root = "$pages"
index-file.names = ("hello.html")
mimetype.assign = (".html" => "text/html")
server.max-fds = 20000
server.max-connections = 10000
server.listen-backlog = 4096
server.max-keep-alive-requests = 100000000
server.max-keep-alive-idle = 60
END

# The command that starts a server.
command_of() {
    case $1 in
    final) echo "$top/final/server --quiet --port $port" ;;
    final-1-loop) echo "$top/final/server --quiet --port $port --loops 1" ;;
    final-*) echo "$out/$older/final/server --quiet --port $port" ;;
    execute) echo "$(ls "$top"/steps/??-execute/server) $port" ;;
    nginx*) echo "nginx -c $out/$1.conf" ;;
    h2o) echo "h2o -c $out/h2o.conf" ;;
    lighttpd) echo "lighttpd -D -f $out/lighttpd.conf" ;;
    libmicrohttpd) echo "$out/server_mhd $port $pages/hello.html $workers" ;;
    esac
}

# Measures sides by turns, once, with one load. Each becomes a line of raw data.
measure() { # TITLE MODE COUNT CLIENTS SIDE...
    title=$1 mode=$2 count=$3 clients=$4
    shift 4
    for side; do
        printf '%s\t%s\t' "$title" "$side${beside-}" >> "$raw"
        # shellcheck disable=SC2046
        (cd "$pages" && "$out/server" "$mode" $port "$count" "$clients" \
            $(command_of "$side")) >> "$raw" 2>> "$out/server.log" || {
            echo "$title, $side: failed; see $out/server.log" >&2
            exit 1
        }
    done
}

others="nginx nginx-cache h2o lighttpd libmicrohttpd"
# Puts all sides under one kind of load.
load() {
    case $1 in
    close) for clients in 1 16 256; do
        measure "A connection for each request, $clients at a time" close 10000 \
            $clients final-1-loop final $older_final $others execute
    done ;;
    keep) for clients in 1 16 256; do
        measure "Connections that stay, $clients (wrk, 1 thread)" wrk 1 $clients \
            final-1-loop final $older_final $others
    done ;;
    flood)
        measure "3,000 connections at once" flood 3000 3000 \
            final-1-loop final $older_final $others execute ;;
    idle) for side in final-1-loop final; do
        for idle in 0 100 9900; do
            beside=", $idle idle" measure "One busy connection of $side" idle \
                20000 $idle $side
        done
    done ;;
    big)
        PAGE=/big.bin WRK='-t 2' measure \
            "Pages of 1 MB, 16 connections that stay (wrk, 2 threads)" wrk 1 16 \
            final final-1-loop $older_final nginx nginx-cache h2o lighttpd ;;
    loops) for clients in 16 256; do
        WRK='-t 2' measure \
            "All loops, and one: connections that stay, $clients (wrk, 2 threads)" \
            wrk 1 $clients final final-1-loop
        WRK="-t 2 -H 'Connection: close'" measure \
            "All loops, and one: a connection for each request, $clients at a time (wrk, 2 threads)" \
            wrk 1 $clients final final-1-loop
    done ;;
    *) echo "There is no load $1" >&2; exit 2 ;;
    esac
}
# Prints a table, and what is to be reached.
table() {
    cpu='CPU=3,1,compare' rate='pages/s=10,0,compare' p99='ms,99%:1000=5,2,median'
    case $1 in
    'A '*) goal="CPU: final-$older 1.20, nginx 0.50, nginx-cache 0.50, h2o 0.70"
        set -- "$1" "$cpu" "$rate" "$p99" ;;
    Conn*) goal="pages/s: final-$older 0.90, nginx 2.00, nginx-cache 2.00, h2o 1.10,
         lighttpd 1.00, libmicrohttpd 1.10"
        set -- "$1" "$rate" "$cpu" "$p99" ;;
    3*) goal='0.150 s'
        set -- "$1" s=1,3,compare "$cpu" threads=6,0,most ;;
    One*) goal='1.00'
        set -- "$1" "$cpu" us,50%=4,0,median us,99%=5,0,median \
            bytes/idle=7,0,median us,quiet-second=8,0,median ;;
    Pages*) goal='pages/s: nginx 1.00'
        set -- "$1" "$rate" "$cpu" "$p99" busiest%=11,0,median ;;
    All*) goal='CPU 1.30; busiest of two: 60%; of those that stay, pages/s 1.30 at 16,
         1.10 at 256'
        set -- "$1" "$rate" "$cpu" "$p99" busiest%=11,0,median ;;
    esac
    tests/bench/tables "$raw" "$@" failed=2,0,sum
    echo "to reach $goal"
}

rm -f "$raw" "$out/server.log"
before=$(cut -d ' ' -f 1-3 /proc/loadavg)
for _ in $(seq "$runs"); do
    for kind; do
        load "$kind"
    done
done
echo "Load of the machine (1, 5, 15 min): $before before," \
    "$(cut -d ' ' -f 1-3 /proc/loadavg) after; $(nproc) CPUs."
echo "Medians of $runs runs; failures: their sum. CPU: microseconds a request."
echo "ratio: the first row divided by this one. busiest: its share of all threads' CPU."
cut -f 1 "$raw" | awk '!seen[$0]++' | while IFS= read -r title; do
    table "$title"
done
