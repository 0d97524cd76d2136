#!/usr/bin/env bash
# Jobs a second over Redis, with results, late acknowledgements and, ours, atomic claims: samples/jobs_worker beside the workers of Celery and RQ,
# one after the other, round by round.
#
#   tests/bench/jobs.sh FOLDER-OF-THE-SAMPLES [ROUNDS] [WORKER...]     default: 3 rounds of all
#   tests/bench/jobs.sh FOLDER-OF-THE-SAMPLES 1 eddy                   only ours; EDDY_JOBS_TASK, EDDY_JOBS_CONCURRENCY: tasks.noop, 64
#
# The queue is filled first, then the worker starts; the time is from the first message that is gone to the last that is
# acknowledged. Needs redis-server, and Debian's python3-redis, python3-celery, python3-rq for the peers.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
samples=$(cd "${1:?usage: $0 FOLDER-OF-THE-SAMPLES [ROUNDS] [WORKER...]}" && pwd)
shift
work=$(mktemp -d)
cd "$work"
mkfifo held # a socket that is bound and does not listen keeps the port for redis-server
/usr/bin/python3 -c 'import signal, socket
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1], flush=True)
signal.pause()' >held &
holder=$!
read -r port <held
redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$work" >redis.log 2>&1 &
redis=$!
trap 'kill "$redis" "$holder" 2>/dev/null; wait 2>/dev/null; rm -rf "$work"' EXIT
until grep -q 'Ready to accept' redis.log; do sleep 0.1; done
/usr/bin/python3 "$here/jobs.py" "$port" "$samples/jobs_worker" "$@"
