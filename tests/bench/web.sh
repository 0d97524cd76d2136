#!/usr/bin/env bash
# http::server beside nginx under wrk, http::client beside curl's --parallel, the scraper: prints tables of docs/benchmarks.md.
#
#   tests/bench/web.sh          three rounds of each, interleaved; medians
#
# Servers are pinned to processor 0, what asks them to 1. Needs Debian's nginx-light, wrk and curl, and libcurl and Boost for our own.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
bin=$top/build/bench/tests/bench
scraper=$top/build/bench/samples/scraper
case ${1:-} in -h | --help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;; esac
nginx=$(PATH=$PATH:/usr/sbin:/sbin command -v nginx) || { echo "web.sh: needs nginx" >&2; exit 77; }
for tool in wrk curl taskset; do command -v $tool >/dev/null || { echo "web.sh: needs $tool" >&2; exit 77; }; done
unset http_proxy HTTP_PROXY all_proxy ALL_PROXY
work=$(mktemp -d)
(cd "$top" && cmake --preset bench -DEDDY_BUILD_SAMPLES=ON && cmake --build --preset bench --target benchmarks) >"$work/build.log" 2>&1 ||
    { tail -30 "$work/build.log" >&2; echo "web.sh: the build failed" >&2; exit 1; }
(cd "$top" && cmake --build --preset bench --target scraper) >"$work/build.log" 2>&1 || true # left out, if what it needs is not there
[ -x "$bin/bench_http_server" ] && [ -x "$scraper" ] || { echo "web.sh: needs eddy::http and libxml2" >&2; exit 77; }
pids=()
trap 'for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done; wait 2>/dev/null || true; rm -rf "$work"' EXIT
pages=2000
ticks=$(getconf CLK_TCK)

median() { sort -g | awk '{v[NR]=$1} END{print v[int((NR+1)/2)]}'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b == 0) print "-"; else printf "%.2f", a / b }'; }
of() { median <"$work/$1"; } # the median of what was noted under that name
# Processor seconds of a process and its children so far.
used() {
    local p all=0
    for p in "$1" $(cat "/proc/$1/task/$1/children"); do
        all=$((all + $(awk '{sub(/.*\) /, ""); print $12 + $13}' "/proc/$p/stat")))
    done
    awk -v a="$all" -v t="$ticks" 'BEGIN { print a / t }'
}

port=$((20000 + $$ % 9000))
# start NAME COMMAND...: a server on a free port, its last argument; $ports and $processes by name
declare -A ports processes
start() {
    local name=$1 i; shift
    for _ in 1 2 3 4 5; do
        port=$((port + 1))
        taskset -c 0 "$@" "$port" >"$work/out" 2>&1 &
        local pid=$!
        for ((i = 0; i < 100; ++i)); do
            if curl -s -o "$work/first" "http://127.0.0.1:$port/page-0.html" && kill -0 "$pid" 2>/dev/null; then
                pids+=("$pid"); ports[$name]=$port; processes[$name]=$pid
                return
            fi
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.05
        done
        kill "$pid" 2>/dev/null || true
    done
    echo "web.sh: $name did not start: $(cat "$work/out")" >&2; exit 1
}
run_nginx() { # PORT
    cat >"$work/nginx.conf" <<END
daemon off;
worker_processes 1;
$([ "$(id -u)" != 0 ] || echo "user root;")
pid $work/nginx.pid;
error_log $work/nginx.log crit;
events { worker_connections 4096; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path $work/t; proxy_temp_path $work/t; fastcgi_temp_path $work/t; uwsgi_temp_path $work/t; scgi_temp_path $work/t;
    types { text/html html; }
    default_type text/plain;
    open_file_cache max=$((pages + 10));
    server {
        listen 127.0.0.1:$1;
        root $work/site;
        location = /small { return 200 "$(printf 'x%.0s' {1..100})"; }
    }
}
END
    exec "$nginx" -c "$work/nginx.conf" -p "$work"
}
make_site() {
    local i child
    mkdir -p "$work/site"
    for ((i = 0; i < pages; ++i)); do
        {
            printf '<!doctype html><meta charset="utf-8"><title>Page %d</title>\n' "$i"
            for ((child = 3 * i + 1; child <= 3 * i + 3 && child < pages; ++child)); do
                printf '<p>%s</p><a href="page-%d.html">page %d</a>\n' "some words of a page, as many as make a line of text" "$child" "$child"
            done
        } >"$work/site/page-$i.html"
    done
}
export -f run_nginx
export nginx work pages

# wrk_round NAME: requests/s and processor µs a request
wrk_round() {
    local before after requests
    before=$(used "${processes[$1]}")
    taskset -c 1 wrk -t 1 -c 64 -d 2s --latency "http://127.0.0.1:${ports[$1]}/small" >"$work/wrk"
    after=$(used "${processes[$1]}")
    requests=$(sed -nE 's/^ *([0-9]+) requests in .*/\1/p' "$work/wrk")
    sed -nE 's/^Requests\/sec: *([0-9.]+)/\1/p' "$work/wrk" >>"$work/rate.$1"
    awk -v a="$after" -v b="$before" -v n="$requests" 'BEGIN { printf "%.2f\n", (a - b) * 1e6 / n }' >>"$work/cpu.$1"
    sed -nE 's/^ *99% *([0-9.]+)(us|ms|s).*/\1 \2/p' "$work/wrk" | awk '{ print $1 * ($2 == "us" ? 1 : $2 == "ms" ? 1000 : 1000000) }' >>"$work/p99.$1"
}
# timed NAME UNITS COMMAND...: units/s and processor µs a unit
timed() {
    local name=$1 units=$2; shift 2
    local TIMEFORMAT='%R %U %S'
    { time taskset -c 1 "$@" >"$work/log" 2>&1; } 2>"$work/time" || { cat "$work/log" >&2; echo "web.sh: $name failed" >&2; exit 1; }
    awk -v n="$units" '{ printf "%.0f\n", n / $1 }' "$work/time" >>"$work/rate.$name"
    awk -v n="$units" '{ printf "%.1f\n", ($2 + $3) * 1e6 / n }' "$work/time" >>"$work/cpu.$name"
}

make_site
start nginx bash -c 'run_nginx "$0"'
start native env EDDY_ENGINE=native "$bin/bench_http_server"
start asio env EDDY_ENGINE=asio "$bin/bench_http_server"
small=http://127.0.0.1:${ports[nginx]}/small
requests=5000
for _ in 1 2 3; do
    for name in nginx native asio; do wrk_round $name; done
    timed curl $requests curl -sS --parallel --parallel-immediate --parallel-max 64 -o /dev/null "$small?[1-$requests]"
    timed client $requests "$bin/bench_http_client" "$small" $requests 64
    timed scraper_nginx $pages "$scraper" --concurrency 64 --per-host 64 --out /dev/null "http://127.0.0.1:${ports[nginx]}/page-0.html"
    timed scraper_demo 1 "$scraper" --demo --out "$work/pages"
    wc -l <"$work/pages" >>"$work/demo_pages"
    timed curl_pages $pages curl -sS --parallel --parallel-immediate --parallel-max 64 -o /dev/null "http://127.0.0.1:${ports[nginx]}/page-[0-$((pages - 1))].html"
done

echo "## HTTP"
echo
echo "A response of 100 bytes on 64 connections that stay open, asked for by wrk; one process each, on one processor. nginx answers it"
echo "from its configuration (\`return 200\`), without a file and without a log. Repeated by \`tests/bench/web.sh\`, as are the two tables that follow."
echo
echo "| server | CPU ratio | requests/s ratio | requests/s | server CPU µs a request | p99 µs |"
echo "|---|--:|--:|--:|--:|--:|"
for row in "nginx:nginx" "native:**eddy**, native engine" "asio:**eddy**, asio engine"; do
    name=${row%%:*}
    echo "| ${row#*:} | $(ratio "$(of "cpu.$name")" "$(of cpu.nginx)") | $(ratio "$(of "rate.$name")" "$(of rate.nginx)") | $(of "rate.$name") | $(of "cpu.$name") | $(of "p99.$name") |"
done
echo
echo "The same response, $requests times and 64 at a time, from nginx, by a process that starts for it:"
echo
echo "| client | CPU ratio | requests/s ratio | requests/s | CPU µs a request |"
echo "|---|--:|--:|--:|--:|"
for row in "curl:curl --parallel" "client:**eddy**, http::client"; do
    name=${row%%:*}
    echo "| ${row#*:} | $(ratio "$(of "cpu.$name")" "$(of cpu.curl)") | $(ratio "$(of "rate.$name")" "$(of rate.curl)") | $(of "rate.$name") | $(of "cpu.$name") |"
done
echo
echo "$pages pages from nginx, 64 at a time. The scraper finds them by their links, reads robots.txt, parses each page and writes what it"
echo "found; curl is told their names and throws them away."
echo
echo "| program | CPU ratio | pages/s | CPU µs a page |"
echo "|---|--:|--:|--:|"
for row in "curl_pages:curl --parallel" "scraper_nginx:samples/scraper"; do
    name=${row%%:*}
    echo "| ${row#*:} | $(ratio "$(of "cpu.$name")" "$(of cpu.curl_pages)") | $(of "rate.$name") | $(of "cpu.$name") |"
done
echo
echo "On the site that is embedded in it (\`--demo\`), which it serves itself and which fails on purpose in places, with retries and time-outs:"
echo "$(of demo_pages) pages, $(awk -v us="$(of cpu.scraper_demo)" -v n="$(of demo_pages)" 'BEGIN { printf "%.0f", us / n }') µs of CPU a page for both ends."
echo
