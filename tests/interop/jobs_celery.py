# The clients' side of jobs_celery.sh: Celery's own client against samples/jobs_worker. Each check prints a line; the first that
# fails ends it.
import json
import time

from celery import chain, chord, group

from jobs_celery_support import Events, app, backend, broker, check, fail, failure, inspected, main, on_time, send, sig, stored, wait_all_acknowledged, wait_until


@app.task(name='tasks.add')
def add(x, y): raise NotImplementedError('the C++ worker does it')


def results():
    r = add.delay(2, 3)
    check('add', r.get(timeout=60), 5)
    check('ttl', 86000 < backend.ttl('celery-task-meta-' + r.id) <= 86400, True)
    check('stored', {k: stored(r.id)[k] for k in ('status', 'result', 'task_id')}, {'status': 'SUCCESS', 'result': 5, 'task_id': r.id})
    check('kwargs', app.send_task('tasks.add', kwargs={'x': 1, 'y': 2.5}).get(timeout=60), 3.5)
    wait_all_acknowledged()
    ignored = send('noop_ign', ignore_result=True)
    wait_all_acknowledged()
    check('ignored', (stored(ignored.id), inspected('stats')['total']['tasks.noop_ign']), (None, 1))


def failures():
    check('boom', failure(send('boom')), "ValueError('bad thing', 42)")
    long = send('big', 2 ** 63)
    try:
        long.get(timeout=60)
        fail('a string of 2^63 bytes')
    except Exception as e:
        check('an exception of C++', (type(e).__module__, type(e).__name__), ('celery.exceptions', 'length_error'))
    check('its traceback', long.traceback.startswith('tasks.big[%s] in C++\nlength_error: ' % long.id), True)
    try:
        send('big', 'x').get(timeout=60)
    except TypeError as e:
        check('arguments', e.args, ('tasks.big() argument 1 (\'n\'): expected an integer, got the string "x"',))
    before = inspected('stats')['eddy']
    check('unknown', failure(send('nowhere')), "NotRegistered('tasks.nowhere',)")
    wait_all_acknowledged()
    after = inspected('stats')['eddy']
    check('it is counted, and not queued again', [after[k] - before[k] for k in ('received', 'failed', 'rejected', 'dead')], [1, 1, 0, 0])
    oldest = min(int(c['id']) for c in broker.client_list())
    check('too large', failure(send('big', 65 << 20), 120), "ResultTooLarge('the result of tasks.big has %d bytes; the limit is %d',)" % ((65 << 20) + 2, 64 << 20))
    check('the connection stays', min(int(c['id']) for c in broker.client_list()), oldest)


def many():
    """1000 jobs: equal on return, none lost, none twice."""
    values = [['ü€😀', None, 1.5, 2 ** 53 + 1, {'a': [True, {'b': []}], 'n': n}] for n in range(1000)]
    events = Events()
    sent = [send('echo', v) for v in values]
    check('1000 jobs', [r.get(timeout=60) for r in sent], values)
    wait_all_acknowledged()
    for r in sent: events.wait(r.id, 'task-succeeded')
    check('once each', [r.id for r in sent if len(events.some(r.id, 'task-started')) != 1], [])


def times():
    events = Events()

    def countdown():
        began, r = time.time(), send('add', 1, 1, countdown=3)
        check('it has run', r.get(timeout=60), 2)
        return events.wait(r.id, 'task-started')['timestamp'] - began
    on_time('countdown', countdown, 3, 3.3)
    busy = [send('slow', 2) for _ in range(4)]
    for r in busy: events.wait(r.id, 'task-started')
    late = send('add', 1, 1, expires=1)
    check('expired', failure(late), "TaskRevokedError('expired',)")
    check('not run', events.some(late.id, 'task-started'), [])


def retries():
    events = Events()
    flaky = send('flaky', 2)
    check('flaky', flaky.get(timeout=60), 'ok after 2')
    events.wait(flaky.id, 'task-received', 3)  # by another connection than the result
    check('its retries', [e['retries'] for e in events.some(flaky.id, 'task-received')], [0, 1, 2])
    check('flaky for ever', failure(send('flaky', 9)), "RuntimeError('again',)")

    def lateness():
        """Of the second and third run, whose pauses are 1 s and 2 s: the worse one, as a part of its pause."""
        r = send('auto')
        events.wait(r.id, 'task-retried')
        retry = wait_until('RETRY', lambda: stored(r.id))
        check('retry', (retry['status'], retry['result']['exc_message']), ('RETRY', ['auto']))
        check('auto', failure(r), "RuntimeError('auto',)")
        starts = [events.wait(r.id, 'task-started', n)['timestamp'] for n in (2, 3)]
        asked = [events.wait(r.id, 'task-retried', n)['timestamp'] for n in (1, 2)]
        parts = [(start - at - pause) / pause for start, at, pause in zip(starts, asked, (1, 2))]
        if min(parts) < -.01: fail('too early: %r' % parts)
        return max(parts)
    on_time('backoff', lateness, -.01, .1)


def limits():
    events = Events()
    check('soft', failure(send('softy')).startswith('SoftTimeLimitExceeded('), True)
    check('hard', failure(send('hardy')), 'TimeLimitExceeded(1,)')
    check('own limit', failure(send('slow', 5, time_limit=1)), 'TimeLimitExceeded(1,)')
    check('a function that listens', send('spin', 30, True, soft_time_limit=1, time_limit=60).get(timeout=60), 'stopped')

    def deaf():
        r = send('spin', 3, False, soft_time_limit=1, time_limit=2)
        check('one that does not', failure(r), 'TimeLimitExceeded(2,)')
        return events.wait(r.id, 'task-failed')['timestamp'] - events.wait(r.id, 'task-started')['timestamp']
    on_time('hard limit', deaf, 2, 2.3)
    check('it serves', add.delay(1, 1).get(timeout=60), 2)
    check('abandoned', inspected('stats')['eddy']['abandoned'] >= 1, True)
    check('suicide', failure(send('suicide')).startswith("WorkerLostError('Worker exited prematurely: signal 9"), True)
    check('suicide_late', failure(send('suicide_late')).startswith("WorkerLostError('Worker exited prematurely: signal 9"), True)


def refused():
    """Rejected or ignored: it has run once, it is acknowledged, and there is no result."""
    events = Events()
    jobs = [send('rejecter'), send('ignorer')]
    for r in jobs: events.wait(r.id, 'task-started')
    check('rejected', events.wait(jobs[0].id, 'task-rejected')['requeue'], False)
    wait_all_acknowledged()
    check('it serves', send('add', 1, 1).get(timeout=60), 2)
    check('no result', [(r.state, stored(r.id)) for r in jobs], [('PENDING', None)] * 2)
    check('once', [len(events.some(r.id, 'task-started')) for r in jobs], [1, 1])


def workflows():
    check('chain', chain(sig('add', 2, 3), sig('add', 5))().get(timeout=60), 10)
    check('group', group(sig('add', i, i) for i in range(4))().get(timeout=60), [0, 2, 4, 6])
    check('chord', chord((sig('add', i, i) for i in range(4)), sig('tsum'))().get(timeout=60), 12)
    check('chain of group', chain(group(sig('add', 1, 1), sig('add', 2, 2)), sig('tsum'), sig('add', 1))().get(timeout=60), 7)
    check('chain into group', chain(sig('add', 1, 1), group(sig('add', 1), sig('add', 2)), sig('tsum'))().get(timeout=60), 7)
    failing = chord([sig('add', 1, 1), sig('boom')], sig('tsum'))()
    check('chord fails', failure(app.AsyncResult(failing.id)).startswith("ChordError(\"Dependency "), True)  # failing itself looks at its parents first
    wait_until('no chord keys', lambda: not backend.keys('celery-taskset-meta-*.[jst]'))
    linked = sig('add', 1, 1)
    follow = sig('add', 10)
    follow.set(task_id='linked-1')
    linked.link(follow)
    linked.apply_async()
    check('link', app.AsyncResult('linked-1').get(timeout=60), 12)
    bad, errback = sig('boom'), sig('onerr')
    errback.set(task_id='errback-1')
    bad.link_error(errback)
    bad.apply_async()
    check('link_error', app.AsyncResult('errback-1').get(timeout=60), 'onerr')


def control():
    check('ping', app.control.ping(timeout=20, limit=1), [{'one@interop': {'ok': 'pong'}}])
    check('registered', 'tasks.add' in inspected('registered'), True)
    events = Events()
    running, waiting = send('slow', 30), send('add', 1, 1, countdown=60)
    events.wait(running.id, 'task-started')
    active, = inspected('active')
    check('active', (active['id'], active['name'], active['worker_pid'] > 0, active['time_start'] > 0), (running.id, 'tasks.slow', True, True))
    check('scheduled', wait_until('it is scheduled', lambda: inspected('scheduled'))[0]['request']['id'], waiting.id)
    check('stats', inspected('stats')['total']['tasks.slow'] >= 1, True)
    app.control.revoke(running.id, terminate=True)
    check('terminated', failure(running), "TaskRevokedError('terminated',)")
    app.control.revoke(waiting.id)
    check('revoked', failure(waiting), "TaskRevokedError('revoked',)")
    slow = send('progress')
    wait_until('progress', lambda: slow.state != 'PENDING')
    check('progress', (slow.state, slow.info), ('PROGRESS', {'cur': 1, 'total': 2}))
    check('done', slow.get(timeout=60), 'done')


def malformed():
    broker.lpush('celery', 'garbage', '{"body": "x"}', json.dumps({'body': 'WzFd', 'headers': {'task': 'a', 'id': 'b'},
                 'properties': {'delivery_tag': 'bad-1', 'body_encoding': 'base64'}}))
    check('it lives', send('add', 1, 1).get(timeout=60), 2)
    wait_until('dead letters', lambda: broker.llen('eddy.dead') == 3)


def twice():
    """The same message, pushed twice."""
    events = Events()
    r = send('echo', 'twice', queue='elsewhere')
    message = broker.rpop('elsewhere')
    broker.lpush('celery', message)
    check('first', r.get(timeout=60), 'twice')
    wait_all_acknowledged()
    broker.lpush('celery', message)
    events.wait(r.id, 'task-received', 2)
    wait_all_acknowledged()
    return r, events


def runs_twice():
    r, events = twice()
    events.wait(r.id, 'task-succeeded', 2)
    check('it runs twice', len(events.some(r.id, 'task-started')), 2)


def runs_once():
    before = inspected('stats')['eddy']['duplicates']
    r, events = twice()
    check('it runs once', (len(events.some(r.id, 'task-started')), inspected('stats')['eddy']['duplicates'] - before), (1, 1))
    check('its result stays', stored(r.id)['result'], 'twice')


def prioritised():
    for p in (9, 0, 3, 5): send('echo', p, priority=p, task_id='priority-%d' % p)
    check('lists', [broker.llen('celery' + s) for s in ('', '\x06\x163', '\x06\x166', '\x06\x169')], [1, 2, 0, 1])


def in_order():
    ends = sorted((wait_until('priority-%d' % p, lambda: stored('priority-%d' % p))['date_done'], p) for p in (9, 0, 3, 5))
    check('in order', [p for _, p in ends], [0, 3, 5, 9])


def shutdown_begins():
    """All slots are taken, and two more jobs wait in the worker."""
    events = Events()
    for i in range(4): send('slow', 3, task_id='warm-%d' % i)
    for i in range(4): events.wait('warm-%d' % i, 'task-started')
    for i in (4, 5): send('slow', .1, task_id='warm-%d' % i)
    wait_until('they are claimed', lambda: broker.hlen('unacked') == 6)


def shutdown_ended():
    check('what ran has ended', [(stored('warm-%d' % i) or {}).get('status') for i in range(6)], ['SUCCESS'] * 4 + [None] * 2)
    check('the others are back', (broker.llen('celery'), broker.hlen('unacked')), (2, 0))


if __name__ == '__main__': main(globals())
