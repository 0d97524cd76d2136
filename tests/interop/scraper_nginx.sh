#!/usr/bin/env bash
# The scraper against a real nginx: every page of a tree is found, whatever else is on the command line.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
program scraper
nginx=$(PATH=$PATH:/usr/sbin:/sbin command -v nginx) || skip "there is no nginx"

# A tree of 200 pages with three branches each, a file that is not HTML, a folder that redirects to its index, a part that
# robots.txt closes.
make_site() {
    local i child
    mkdir -p site/folder site/private
    for ((i = 0; i < 200; ++i)); do
        {
            printf '<!doctype html><meta charset="utf-8"><title>Page %d – ü</title>\n<p>one two three</p>\n' "$i"
            for ((child = 3 * i + 1; child <= 3 * i + 3 && child < 200; ++child)); do
                printf '<a href="page-%d.html">%d</a>\n' "$child" "$child"
            done
        } >"site/page-$i.html"
    done
    {
        printf '<title>Index</title><a href=page-0.html>0</a> <a href="/folder">folder</a> <a href=missing.html>missing</a>\n'
        printf '<a href=private/x.html>private</a> <a href=data.bin>data</a> <a href=latin1.html>latin1</a>\n'
    } >site/index.html
    printf '<title>Folder</title><a href="../page-1.html">1</a>' >site/folder/index.html
    printf '<title>Private</title>' >site/private/x.html
    printf '<title>Caf\xe9</title>' >site/latin1.html
    head -c 300000 /dev/zero >site/data.bin
    printf 'User-agent: *\nDisallow: /private/\n' >site/robots.txt
}

# nginx cannot ask the kernel for a free port; the echo server can. If somebody else is quicker to take it, try another.
free_port() {
    local echo_pid
    "$samples/echo_server" --port 0 >echo.out &
    echo_pid=$!
    wait_for_line echo.out '^READY$'
    kill -TERM "$echo_pid"
    wait "$echo_pid"
    port=$(sed -n 's/^PORT //p' echo.out)
}

start_nginx() {
    for _ in 1 2 3 4 5; do
        free_port
        cat >nginx.conf <<END
daemon off;
worker_processes 1;
$([ "$(id -u)" != 0 ] || echo "user root;") # who else could read this folder?
pid nginx.pid;
error_log nginx.log;
events { worker_connections 512; }
http {
    access_log access.log;
    client_body_temp_path temp; proxy_temp_path temp; fastcgi_temp_path temp; uwsgi_temp_path temp; scgi_temp_path temp;
    types { text/html html; text/plain txt; }
    gzip on; gzip_min_length 1;
    server { listen 127.0.0.1:$port; root site; port_in_redirect on; location = /latin1.html { charset iso-8859-1; } }
}
END
        "$nginx" -p "$workdir" -c nginx.conf -e nginx.log >nginx.out 2>&1 &
        nginx_pid=$!
        started+=("$nginx_pid")
        local i
        for ((i = 0; i < 100; ++i)); do
            kill -0 "$nginx_pid" 2>/dev/null || break
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && [ -s nginx.pid ]; then return; fi
            sleep 0.05
        done
    done
    cat nginx.log nginx.out >&2
    fail "nginx did not start"
}

make_site
start_nginx
address=http://127.0.0.1:$port

run "$address/" --out pages.jsonl
expect_status 0
expect_json_lines pages.jsonl
expect_as_many_lines_as_pages pages.jsonl out
# 200 pages, index, /folder, /folder/, missing, data, latin1.
expect_in out '^206 pages in '
expect_in out '^  200 +204$'
expect_in out '^  301 +1$'
expect_in out '^  404 +1$'
expect_in out '^  pages robots.txt disallows +1$'
expect_in pages.jsonl '/page-199.html","status":200.*"title":"Page 199 – ü".*"words":3'
expect_in pages.jsonl '/latin1.html","status":200.*"title":"Café"'
[ "$(grep -c 'GET /robots.txt ' access.log)" = 1 ] || fail "robots.txt was not asked for exactly once"
grep -q 'GET /private' access.log && fail "a page was fetched that robots.txt forbids"
[ "$(grep -cE '"GET ' access.log)" = 207 ] || fail "$(grep -c '"GET ' access.log) requests instead of 207"

# A good address among bad ones: the bad ones are reported, the good one is scraped.
run nonsense "$address/" http://127.0.0.1:1/ "$address/missing.html" --depth 1 --retries 0 --out pages.jsonl
expect_status 1
expect_in err "^scraper: 'nonsense' is not a web address"
expect_in err '^scraper: http://127.0.0.1:1/: .*refused'
expect_in err '/missing.html: answered with status 404$'
expect_in pages.jsonl '/page-0.html","status":200'
expect_not_in pages.jsonl '"url":"[^"]*/page-1.html"'

# Pages on standard output, the table on standard error.
run "$address/page-100.html"
expect_status 0
mv out pages.jsonl
expect_json_lines pages.jsonl
expect_as_many_lines_as_pages pages.jsonl err

# nginx goes away in the middle: its pages fail, and that is all.
start "$address/" --rate 50 --retries 1 --out pages.jsonl
wait_for_line pages.jsonl '"url":"[^"]*/page-0.html"'
kill -TERM "$nginx_pid"
finish
expect_status 0
expect_in out '^  refused +[0-9]+$'
expect_json_lines pages.jsonl
