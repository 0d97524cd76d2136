#!/usr/bin/env bash
# Workers of samples/jobs_worker are killed at random, and others start, while they work through the jobs of a real Celery client: in the
# end each job has its result. jobs_chaos_rq.sh is the same with RQ.
#
#   EDDY_CHAOS_SEED    what is sent and who is killed when; else another one each time, which is printed
#   EDDY_CHAOS_JOBS    how many jobs: 2000, with RQ 400
# shellcheck source=tests/lib/program.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/program.sh"
# shellcheck source=tests/lib/redis_server.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib/redis_server.sh"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
protocol=${EDDY_CHAOS_PROTOCOL:-celery}
program jobs_worker
start_redis "$protocol"

seed=${EDDY_CHAOS_SEED:-$(od -An -N4 -tu4 /dev/urandom | tr -d ' ')}
echo "seed $seed: EDDY_CHAOS_SEED=$seed repeats it"
jobs=${EDDY_CHAOS_JOBS:-2000}
if [ "$protocol" = rq ]; then jobs=${EDDY_CHAOS_JOBS:-400}; fi
"$python" "$here/jobs_chaos_$protocol.py" "$url" "$program" "$seed" "$jobs" || {
    tail -n 5 worker-*.err >&2
    fail "jobs are lost, or ran more often than they may (seed $seed)"
}
exit 0
