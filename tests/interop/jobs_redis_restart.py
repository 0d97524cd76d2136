# What happens in jobs_redis_restart.sh.
import os
import subprocess
import sys
import time

import redis

from jobs_celery_support import broker, check, fail, send, stored, url, wait_all_acknowledged, wait_until

program, port = sys.argv[2:4]
JOBS, OUTAGES = 600, 3


def answers():
    try:
        return broker.ping()
    except redis.exceptions.RedisError:  # it is not there, or reads its file
        return False


def start_redis():
    with open('redis.log', 'a') as log:
        server = subprocess.Popen(['redis-server', '--port', port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'yes', '--appendfsync', 'always'],
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    wait_until('redis-server', answers)
    return server


def start_worker():
    with open('worker.out', 'w') as out, open('worker.err', 'w') as err:
        w = subprocess.Popen([program, '--url', url + '/0', '--results', url + '/1', '--concurrency', '4'], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    wait_until('ready', lambda: os.path.getsize('worker.out') > 0)
    return w


def go_away_and_come_back(server, outage):
    """How long until jobs are claimed again, since the server answers."""
    across = send('slow', 2, task_id='across-%d' % outage, priority=0)
    broker.lrem('celery', 1, message := broker.lindex('celery', 0))
    broker.rpush('celery', message)  # the next one
    wait_until('it is claimed', lambda: any(b'"across-%d"' % outage in m for m in broker.hvals('unacked')))
    wait_until('jobs end', lambda: stored('restart-%d' % (10 * outage)))
    server.terminate()
    server.wait()
    said = os.path.getsize('worker.err')
    time.sleep(3)  # the length of the outage
    server = start_redis()
    began, queued = time.time(), broker.llen('celery')
    check('jobs are still waiting', queued > 0, True)
    wait_until('it goes on', lambda: broker.llen('celery') < queued)
    took = time.time() - began
    wait_until('the result of the job that ran meanwhile', lambda: stored(across.id))
    check('across', stored(across.id)['result'], 2)
    wait_until('the worker says what happened', lambda: os.path.getsize('worker.err') > said)
    return server, took


server = start_redis()
worker = None
try:
    for i in range(JOBS): send('slow', .1, task_id='restart-%d' % i)
    worker = start_worker()
    delays = []
    for outage in range(1, OUTAGES + 1):
        server, took = go_away_and_come_back(server, outage)
        delays.append(took)
    if min(delays) >= 2: fail('it goes on after %r s' % delays)  # a busy machine may be late, but not each time
    print('ok it goes on after', ['%.2f s' % d for d in delays])
    wait_until('all results', lambda: all(stored('restart-%d' % i) for i in range(JOBS)), 120)
    check('all jobs', [i for i in range(JOBS) if stored('restart-%d' % i)['result'] != .1], [])
    wait_all_acknowledged()
    check('no dead letters', broker.llen('eddy.dead'), 0)
    worker.terminate()
    check('status', worker.wait(timeout=60), 0)
finally:
    for p in filter(None, (worker, server)):
        if p.poll() is None: p.kill()
        p.wait()
