# shellcheck shell=bash
# Sourced after program.sh by tests that need a Redis of their own and Python's system interpreter.
#
#   start_redis MODULE...    $python has these modules and "redis"; a server on a free port: $url is its address, without a database

start_redis() {
    command -v redis-server >/dev/null || skip "there is no redis-server"
    python=/usr/bin/python3
    local module port
    for module in redis "$@"; do
        "$python" -c "import $module" 2>/dev/null || skip "there is no $module for $python"
    done
    port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no >redis.log 2>&1 &
    started+=("$!")
    for _ in $(seq 100); do
        grep -q 'Ready to accept' redis.log && break
        sleep 0.1
    done
    grep -q 'Ready to accept' redis.log || fail "redis-server does not start: $(tail -3 redis.log)"
    url=redis://127.0.0.1:$port
}
