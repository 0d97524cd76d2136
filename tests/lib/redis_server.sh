# shellcheck shell=bash
# Sourced after program.sh by tests that need a Redis of their own and Python's system interpreter.
#
#   start_redis MODULE...    $python has these modules and "redis"; a server on a free port: $url is its address, without a database
# or, for a server that the test starts itself, and more than once:
#   need_redis MODULE...     only looks for what is needed
#   hold_port                $port, which nobody else gets

# The kernel picks the port, and a socket that does not listen keeps it: nobody else is given it, but a server that asks for it by
# number, with SO_REUSEADDR as redis-server does, may listen there; also a second time.
hold_port() {
    "$python" -c 'import signal, socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
signal.pause()' >redis.port &
    started+=("$!")
    wait_for_line redis.port '^[0-9]+$'
    port=$(cat redis.port)
}

launch_redis() {
    redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no >redis.log 2>&1 &
    local redis=$!
    started+=("$redis")
    local i
    for ((i = 0; i < 1200; ++i)); do # a minute
        if grep -q 'Ready to accept' redis.log 2>/dev/null; then return; fi
        kill -0 "$redis" 2>/dev/null || break
        sleep 0.05
    done
    fail "redis-server does not start: $(tail -3 redis.log)"
}

need_redis() {
    command -v redis-server >/dev/null || skip "there is no redis-server"
    python=/usr/bin/python3
    local module
    for module in redis "$@"; do
        "$python" -c "import $module" 2>/dev/null || skip "there is no $module for $python"
    done
}

start_redis() {
    need_redis "$@"
    hold_port
    launch_redis
    # shellcheck disable=SC2034 # for the scripts that source this
    url=redis://127.0.0.1:$port
}
