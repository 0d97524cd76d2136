#!/usr/bin/env bash
# samples/jobs_worker and Celery's own client, over a real Redis. With Celery's worker beside it: jobs_celery_cluster.sh.
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
# shellcheck source=tests/lib/redis_server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/redis_server.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program jobs_worker
start_redis celery

start_worker() {
    start --url "$url/0" --results "$url/1" --name one@interop --visibility 5 --events "$@"
    wait_for_line out '^ready$'
}
end_worker() {
    kill -TERM "$pid"
    finish
    expect_status 0
}
python_says() {
    "$python" "$here/jobs_celery.py" "$url" "$@" >python.out 2>&1 || { cat python.out >&2; fail "Celery's client is not content"; }
}

# Jobs that wait, in their lists; then a worker takes them one at a time.
python_says prioritised
start_worker --concurrency 1
python_says in_order
end_worker

start_worker --concurrency 4
python_says results failures many times retries limits refused workflows control malformed runs_twice
expect_in err 'tasks\.spin\[.*\] has gone beyond its time limit; its function is let go of'
python_says shutdown_begins
end_worker
python_says shutdown_ended

start_worker --concurrency 4 --deduplicate
python_says runs_once
end_worker
exit 0
