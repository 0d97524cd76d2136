# What dashboard.sh has a browser do. Chromium is driven over its DevTools protocol, by a pipe: messages that end with a NUL, on the
# descriptors 3 (to it) and 4 (from it).
#
#   dashboard.py CHROMIUM URL FOLDER [PICTURES]
#
# What is to happen outside of the browser is a line on standard output, and answered by one on standard input.
import atexit
import base64
import json
import os
import subprocess
import sys
import time

chromium, url, folder, pictures = (sys.argv + [''])[1:5]


class Browser:
    def __init__(self):
        theirs_in, self.write_end = os.pipe()
        self.read_end, theirs_out = os.pipe()

        def pipes():
            a, b = os.dup2(theirs_in, 50), os.dup2(theirs_out, 51)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self.process = subprocess.Popen(
            [chromium, '--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--no-first-run', '--hide-scrollbars', '--disable-extensions',
             '--disable-background-networking', '--disable-component-update', '--user-data-dir=' + folder + '/chromium', '--remote-debugging-pipe', 'about:blank'],
            preexec_fn=pipes, close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=open(folder + '/chromium.err', 'w'))
        os.close(theirs_in)
        os.close(theirs_out)
        self.number, self.buffer, self.session = 0, b'', None
        self.complaints = []
        target = self.call('Target.createTarget', url='about:blank')['targetId']
        self.session = self.call('Target.attachToTarget', targetId=target, flatten=True)['sessionId']
        self.call('Page.enable')
        self.call('Runtime.enable')
        self.call('Log.enable')

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(20)

    def message(self):
        while b'\0' not in self.buffer:
            piece = os.read(self.read_end, 1 << 16)
            if not piece:
                raise SystemExit('Chromium has ended: ' + open(folder + '/chromium.err').read()[-2000:])
            self.buffer += piece
        text, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(text)

    def call(self, method, **parameters):
        self.number += 1
        m = {'id': self.number, 'method': method, 'params': parameters}
        if self.session:
            m['sessionId'] = self.session
        os.write(self.write_end, json.dumps(m).encode() + b'\0')
        while True:
            got = self.message()
            if got.get('method') == 'Runtime.exceptionThrown':
                self.complaints.append(got['params']['exceptionDetails'].get('exception', {}).get('description', 'an exception'))
            if got.get('method') == 'Log.entryAdded' and got['params']['entry']['level'] == 'error':
                self.complaints.append(got['params']['entry']['text'])
            if got.get('method') == 'Page.javascriptDialogOpening':
                self.complaints.append('a dialog: ' + got['params']['message'])
                os.write(self.write_end, json.dumps({'id': 0, 'method': 'Page.handleJavaScriptDialog', 'params': {'accept': True}, 'sessionId': self.session}).encode() + b'\0')
            if got.get('id') == self.number:
                if 'error' in got:
                    raise SystemExit('%s: %s' % (method, got['error']))
                return got['result']

    def js(self, expression):
        got = self.call('Runtime.evaluate', expression=expression, returnByValue=True, awaitPromise=True)
        if 'exceptionDetails' in got:  # what is not there yet has no parts
            return got['exceptionDetails'].get('exception', {}).get('description', 'an exception')
        return got['result'].get('value')

    def size(self, width, height, scheme, scale=1):
        self.call('Emulation.setDeviceMetricsOverride', width=width, height=height, deviceScaleFactor=scale, mobile=width < 600)
        self.call('Emulation.setEmulatedMedia', features=[{'name': 'prefers-color-scheme', 'value': scheme}])

    def picture(self, name):
        if not pictures:
            return
        size = self.call('Page.getLayoutMetrics')['cssContentSize']
        got = self.call('Page.captureScreenshot', format='png', captureBeyondViewport=True, clip={'x': 0, 'y': 0, 'width': size['width'], 'height': size['height'], 'scale': 1})
        with open('%s/%s.png' % (pictures, name), 'wb') as f:
            f.write(base64.b64decode(got['data']))


browser = Browser()
atexit.register(browser.end)


def outside(line):
    print(line, flush=True)
    if sys.stdin.readline() != 'done\n':
        raise SystemExit('nobody has done: ' + line)


def until(name, expression, seconds=60):
    end = time.monotonic() + seconds
    while True:
        got = browser.js(expression)
        if got is True:
            print('ok', name, flush=True)
            return
        if time.monotonic() > end:
            raise SystemExit('%s: waited in vain for %s, which is %r; the page says:\n%s' % (name, expression, got, browser.js('document.body.innerText')))
        time.sleep(.1)


def text(selector):
    return 'document.querySelector(%s).textContent' % json.dumps(selector)


def no_overflow(name):
    until(name + ' fits', 'document.documentElement.scrollWidth <= innerWidth')


browser.size(1360, 900, 'light')
browser.call('Page.navigate', url=url)
until('live', "document.querySelector('#connection') !== null && %s === 'live'" % text('#connection'))
until('two workers', "document.querySelectorAll('#workers tr').length === 2 && /one@test/.test(%s)" % text('#workers'))
until('two queues', "[...document.querySelectorAll('#queues tr td:first-child')].map(e => e.textContent).join() === 'celery,reports'")
until('nothing runs', "!document.querySelector('#no-jobs').hidden && !document.querySelector('#no-failed').hidden")

# Names and arguments that are HTML are text.
outside("send --no-wait '<script>window.hacked = 1</script>' '\"<img src=x onerror=hacked=1>\"'")
until('HTML is text', "document.querySelector('#failed .name').textContent === '<script>window.hacked = 1</script>'")
until('nothing was run', "window.hacked === undefined && document.querySelectorAll('#failed script, #failed img').length === 0")

# A failed job: its traceback is fetched when it is opened, and stays open while the page changes.
outside('send --no-wait --id boom-1 tasks.boom')
until('failed', "/ValueError/.test(%s)" % text('#failed li .exception'))
until('a tile counts it', "document.querySelector('#failures').textContent === '2'")
browser.js("[...document.querySelectorAll('#failed li')].find(e => /window.hacked/.test(e.textContent)).querySelector('summary').click()")
until('traceback', "[...document.querySelectorAll('#failed pre')].some(e => /this worker has no task/.test(e.textContent))")
browser.js("document.querySelector('#failed li button').click()")
until('sent again', "/sent again as/.test(%s) && /Sent again as/.test(%s)" % (text('#failed'), text('#toast')))
until('failed again', "document.querySelectorAll('#failed li').length === 3")
until('still open', "document.querySelectorAll('#failed details[open]').length === 1")
until('its button is off', "[...document.querySelectorAll('#failed li')].filter(e => e.querySelector('button').disabled).length === 1")

# A running job, and its button.
outside('send --no-wait --id slow-1 tasks.slow 300')
outside('send --no-wait --id slow-2 --kwargs \'{"s": 301}\' tasks.slow')
outside('send --no-wait --id later-1 --countdown 300 tasks.add 1 2')
until('running', "document.querySelector('#running').textContent === '2' && document.querySelectorAll('#jobs tr').length === 3")
until('reserved', "/1 reserved/.test(%s)" % text('#running-more'))
until('time goes by', "/^[2-9] s$/.test(%s)" % text('#jobs tr .number'))
outside('send --no-wait --queue reports tasks.add 1 1')
until('a queue that nobody serves', "/reports1none/.test(%s)" % text('#queues'))
for n in range(3):
    outside('send tasks.add %d 1' % n)
until('throughput', "/succeeded/.test(%s) && document.querySelector('#chart-ok').getAttribute('d') !== ''" % text('#rate-more'))
until('run time', "document.querySelector('#runtime').textContent !== '–'")
until('accessible names', "[...document.querySelectorAll('button')].every(b => b.getAttribute('aria-label') || b.textContent) && document.querySelectorAll('h1').length === 1")

if pictures:  # something to look at
    for i in range(40):
        outside("send --no-wait --id %08x-51c7-4f0e-9d35-8c2f0a7be%03d tasks.add %d '%d'" % (i * 0x10204081 & 0xffffffff, i, i, i * i))
        if i % 4 == 0:
            outside('send --no-wait tasks.slow 0.%d' % (i % 7 + 1))
        if i % 13 == 0:
            outside('send --no-wait tasks.add \'"a string where a number was expected"\' %d' % i)
        time.sleep(.4)
    outside('send --no-wait tasks.auto')
    time.sleep(6)
    browser.picture('wide-light')
    browser.size(1360, 900, 'dark')
    browser.picture('wide-dark')
browser.size(390, 844, 'light', 2)
no_overflow('a phone')
browser.picture('phone-light')
browser.size(390, 844, 'dark', 2)
browser.picture('phone-dark')
browser.size(800, 900, 'light')
no_overflow('a tablet')
browser.picture('tablet-light')
browser.size(1360, 900, 'light')
no_overflow('a desk')

# Revoke: it asks first.
browser.js("[...document.querySelectorAll('#jobs tr')].find(e => /slow-1/.test(e.textContent)).querySelector('button').click()")
until('it asks', "document.querySelector('#confirm').open && /tasks.slow/.test(%s)" % text('#confirm-text'))
browser.picture('confirm')
browser.js("document.querySelector('#confirm-no').click()")
until('no', "!document.querySelector('#confirm').open && document.querySelector('#running').textContent === '2'")
browser.js("[...document.querySelectorAll('#jobs tr')].find(e => /slow-1/.test(e.textContent)).querySelector('button').click()")
browser.js("document.querySelector('#confirm-yes').click()")
until('revoked', "document.querySelector('#running').textContent === '1' && /1 revoked/.test(%s) && !/slow-1/.test(%s)" % (text('#failures-more'), text('#jobs')))

# A page of another origin can do nothing.
browser.call('Page.navigate', url='data:text/html,elsewhere')
until('elsewhere', "document.body.textContent === 'elsewhere'")
base = url.rstrip('/')
refused = "fetch('%s/api/jobs/slow-2/revoke', {method: 'POST', %%s}).then(r => 'answer ' + r.status, () => 'refused')" % base
for name, options in [('with its header', "headers: {'X-Dashboard': '1'}"), ('without', "mode: 'cors'")]:
    got = browser.js(refused % options)
    if got != 'refused':
        raise SystemExit('a page of another origin, %s, gets: %s' % (name, got))
browser.js(refused % "mode: 'no-cors'")
browser.complaints.clear()  # it was told so there
browser.call('Page.navigate', url=url)
until('slow-2 still runs', "document.querySelector('#running') !== null && document.querySelector('#running').textContent === '1' && /slow-2/.test(%s)" % text('#jobs'))

# Redis goes and comes.
outside('redis_stops')
until('disconnected', "%s === 'disconnected, retrying' && /Redis is disconnected, retrying/.test(%s)" % (text('#connection'), text('#outage')))
until('no buttons', "[...document.querySelectorAll('#jobs button, #failed button')].every(b => b.disabled)")
browser.picture('disconnected')
outside('redis_starts')
until('live again', "%s === 'live' && document.querySelector('#outage').hidden" % text('#connection'))
outside('send tasks.add 5 5')
until('workers again', "/2 online/.test(%s)" % text('#workers-more'))

if browser.complaints:
    raise SystemExit('the browser complains: %s' % browser.complaints)
browser.session = None
browser.call('Browser.close')
browser.process.wait(20)
