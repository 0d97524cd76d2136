#!/usr/bin/env bash
# samples/jobs_dashboard as a person sees it, in headless Chromium: rows, buttons, tracebacks, names that are HTML, Redis that goes.
#
#   PICTURES=FOLDER tests/interop/dashboard.sh BUILD/samples      leaves screenshots there: light and dark, wide and narrow
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
pictures=${PICTURES:+$(mkdir -p "$PICTURES" && cd "$PICTURES" && pwd)}
# shellcheck source=tests/lib/program.sh
. "$here/../lib/program.sh"
program jobs_send
sender=$program
program jobs_worker
worker=$program
program jobs_dashboard
command -v redis-server >/dev/null || skip "there is no redis-server"
python=$(python3 -c 'import sys; print(sys.executable)') || skip "there is no python3"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || skip "there is no Chromium (Debian: chromium)"

port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start_redis() {
    rm -f redis.log
    redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no >redis.log 2>&1 &
    redis=$!
    started+=("$redis")
    wait_for_line redis.log 'eady to accept connections'
}
start_redis
url=redis://127.0.0.1:$port/0
for name in one two; do
    "$worker" --url "$url" --concurrency 4 --name "$name@test" --events >"$name.out" 2>&1 </dev/null &
    started+=("$!")
    wait_for_line "$name.out" '^ready$'
done
start --url "$url" --queue celery --queue reports --port 0 --heartbeat 1
wait_for_line out '^dashboard at '
base=$(sed -nE 's|^dashboard at (http://.*)/$|\1|p' out)

# The page is driven by the script; it asks for what happens outside by a line, and is told when that is done.
coproc browser_test { exec "$python" "$here/dashboard.py" "$browser" "$base/" "$workdir" "$pictures" 2>python.err; }
# shellcheck disable=SC2154 # coproc sets it
test_pid=$browser_test_PID
started+=("$test_pid")
exec {from}<&"${browser_test[0]}" {to}>&"${browser_test[1]}"
while read -r -u "$from" verb rest; do
    case $verb in
    send) eval "timeout 60 \"$sender\" --url \"$url\" $rest" >send.out 2>&1 || fail "jobs_send $rest: $(cat send.out)" ;;
    redis_stops)
        kill -TERM "$redis"
        wait "$redis" 2>/dev/null
        ;;
    redis_starts) start_redis ;;
    ok) printf 'ok %s\n' "$rest" && continue ;;
    *) fail "the script says: $verb $rest" ;;
    esac
    printf 'done\n' >&"$to"
done
wait "$test_pid" || fail "the page is not as it should be: $(tail -n 15 python.err)"
kill -TERM "$pid"
finish
expect_status 143
kill -TERM "$redis"
wait "$redis" 2>/dev/null
exit 0
