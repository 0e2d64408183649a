#!/bin/sh
# Writes a small corpus for the fuzzers into a folder: one file a request.
set -eu
mkdir -p "$1"
cd "$1"
n=0
put() {
    n=$((n + 1))
    printf "$1" > "seed-$n"
}
put 'GET / HTTP/1.1\r\nHost: a\r\n\r\n'
put 'HEAD /hello.html HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'
put 'GET http://a:80/%%68ello.html?x HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n'
put 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello'
put 'GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
put '\r\nGET /nope HTTP/1.1\nHost: [::1]:80\nX: y\n\nGET /404.html HTTP/1.1\nHost: a\n\n'
put '\001\003\005\377\310\311\312\313GET /sleep HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n'
put 'OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n'
put 'BREW / HTTP/2.0\r\n\r\n'
