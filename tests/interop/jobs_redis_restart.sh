#!/usr/bin/env bash
# Redis ends and comes back three times while samples/jobs_worker works through jobs of Celery's client: none is lost of those that Redis has
# in its append-only file, and the result of the one that runs meanwhile is stored.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
# shellcheck source=tests/lib/redis_server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/redis_server.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program jobs_worker
need_redis celery
hold_port
"$python" "$here/jobs_redis_restart.py" "redis://127.0.0.1:$port" "$program" "$port" >python.out 2>&1 || {
    cat python.out >&2
    tail -n 20 worker.err redis.log >&2
    fail "jobs are lost, or it does not go on"
}
exit 0
