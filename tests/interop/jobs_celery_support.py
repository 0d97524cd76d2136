# What the tests with Celery's client share: the application, its keys, and waiting for what is to come instead of sleeping.
import base64
import json
import sys
import threading
import time
from collections import defaultdict

import redis
from celery import Celery

url = sys.argv[1]
app = Celery('interop', broker=url + '/0', backend=url + '/1')
app.conf.update(task_serializer='json', result_serializer='json', accept_content=['json'], enable_utc=True)
broker, backend = redis.Redis.from_url(url + '/0'), redis.Redis.from_url(url + '/1')


def sig(name, *args, **options):
    return app.signature('tasks.' + name, args=args, **options)


def send(name, *args, **options):
    return app.send_task('tasks.' + name, args=args, **options)


def fail(text):
    print('FAILED ' + text)
    sys.exit(1)


def check(name, got, expected):
    if got != expected: fail('%s: got %r, expected %r' % (name, got, expected))
    print('ok', name)


def wait_until(what, condition, seconds=90):
    """Until it is so; its value."""
    until = time.time() + seconds
    while True:
        value = condition()
        if value: return value
        if time.time() > until: fail('waited in vain: ' + what)
        time.sleep(.01)


def on_time(name, attempt, least, most):
    """What takes `attempt()` seconds is never too early, and in time at least once in three: a busy machine may be late."""
    for _ in range(3):
        took = attempt()
        if took < least: fail('%s: %.3f s are too early, it should be %s' % (name, took, least))
        if took < most: return print('ok', name, '%.2f s' % took)
    fail('%s: %.3f s, expected less than %s' % (name, took, most))


def failure(result, timeout=60):
    try:
        return 'value %r' % (result.get(timeout=timeout),)
    except Exception as e:
        return '%s%r' % (type(e).__name__, e.args)


def stored(id):
    """A result as it is in Redis."""
    value = backend.get('celery-task-meta-' + id)
    return json.loads(value) if value else None


def wait_all_acknowledged():
    """A job is acknowledged a moment after its result is there."""
    wait_until('nothing is queued or claimed', lambda: not any([broker.llen('celery'), broker.hlen('unacked'), broker.zcard('unacked_index')]))


def inspected(method, **options):
    """What the one worker answers."""
    answers = getattr(app.control.inspect(timeout=20, limit=1, **options), method)()
    return next(iter(answers.values()))


class Events:
    """The events of all workers, from now on."""

    def __init__(self):
        self.all, self.of, self.added = [], defaultdict(list), threading.Condition()
        self.ear = redis.Redis.from_url(url).pubsub()
        self.ear.psubscribe('/0.celeryev/*')
        self.ear.get_message(timeout=20)
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for message in self.ear.listen():
            body = json.loads(base64.b64decode(json.loads(message['data'])['body']))
            with self.added:
                for event in body if isinstance(body, list) else [body]:
                    self.all.append(event)
                    self.of[event.get('uuid')].append(event)
                self.added.notify_all()

    def some(self, id, *types):
        with self.added: return [e for e in self.of[id] if e['type'] in types]

    def wait(self, id, type, count=1):
        """The latest of so many of this type."""
        with self.added:
            there = self.added.wait_for(lambda: len([e for e in self.of[id] if e['type'] == type]) >= count, 90)
            if not there: fail('%s: %r, expected %d %s' % (id, [e['type'] for e in self.of[id]], count, type))
            return [e for e in self.of[id] if e['type'] == type][count - 1]


def main(functions):
    for name in sys.argv[2:]: functions[name]()
