// The page: shows the state that /events sends, and asks for what its buttons say. Every text goes in as text (textContent), so what
// a job is called is never taken for HTML.
'use strict';

const $ = id => document.getElementById(id);
let state = null;
let skew = 0; // of this clock to the server's, in seconds
let toastTimer = 0;

// --- texts

const plural = (n, one, many) => `${number(n)} ${n === 1 ? one : many || one + 's'}`;
const number = n => n.toLocaleString('en-US');
const now = () => Date.now() / 1000 + skew;

function duration(s) {
  if (s < 0.0995) return `${(s * 1000).toFixed(s < 0.00995 ? 1 : 0)} ms`;
  if (s < 9.95) return `${s.toFixed(1)} s`;
  if (s < 60) return `${Math.round(s)} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor(s % 86400 / 3600)} h`;
}
const elapsed = since => { const s = Math.max(0, now() - since); return s < 60 ? `${Math.floor(s)} s` : duration(s); };
const ago = at => now() - at < 2 ? 'just now' : `${elapsed(at)} ago`;
const rate = r => r === 0 ? '0' : r < 9.95 ? r.toFixed(1) : number(Math.round(r));
const call = job => {
  const named = job.kwargs && job.kwargs !== '{}' ? job.kwargs : '';
  return [job.args && job.args !== '[]' ? job.args : '()', named].filter(Boolean).join(' ');
};

// --- elements

function make(name, className, parent) {
  const e = document.createElement(name);
  if (className) e.className = className;
  if (parent) parent.append(e);
  return e;
}
function put(e, text) { if (e.textContent !== text) e.textContent = text; }
function hide(e, yes) { if (e.hidden !== yes) e.hidden = yes; }
function tag(e, kind, text) { const c = `tag ${kind}`; if (e.className !== c) e.className = c; put(e, text); }

// Keeps an element for each item, so that what is open stays open and what has the focus keeps it.
const shown = new Map();
function list(parent, items, create, update) {
  const before = shown.get(parent) || new Map(), after = new Map();
  for (const item of items) {
    const key = item.id || item.name;
    if (!after.has(key)) after.set(key, before.get(key) || create(item));
  }
  for (const [key, row] of before) if (!after.has(key)) row.element.remove();
  let place = parent.firstChild;
  for (const item of items) {
    const row = after.get(item.id || item.name);
    update(row, item);
    if (row.element === place) place = place.nextSibling;
    else parent.insertBefore(row.element, place);
  }
  shown.set(parent, after);
}
const cell = (row, className, label) => { const e = make('td', className, row); if (label) e.dataset.label = label; return e; };

// --- parts of the page

function showConnection() {
  const pill = $('connection'), outage = $('outage');
  if (!state) return;
  const ok = state.connected;
  pill.dataset.state = ok ? 'live' : 'lost';
  put(pill, ok ? 'live' : 'disconnected, retrying');
  put($('broker'), state.broker);
  hide(outage, ok);
  put(outage, ok ? '' : `Redis is disconnected, retrying. ${state.reason}`);
  document.body.classList.toggle('stale', !ok);
}

function showTiles() {
  const sum = list => list.reduce((a, b) => a + b, 0);
  const waiting = sum(state.queues.map(q => q.length || 0)), run = state.running, t = state.totals;
  put($('waiting'), number(waiting));
  put($('waiting-more'), plural(state.queues.length, 'queue'));
  put($('running'), number(run.started));
  put($('running-more'), `${number(run.received)} reserved${run.retry ? `, ${number(run.retry)} retrying` : ''}`);
  put($('rate'), `${rate(state.throughput.rate)}/s`);
  put($('rate-more'), `${number(t.succeeded)} succeeded`);
  const failures = sum(state.throughput.failed);
  put($('failures'), number(failures));
  $('failures').classList.toggle('alarm', failures > 0);
  put($('failures-more'), `${number(t.retried)} retried, ${number(t.revoked)} revoked`);
  for (const [what, id] of [['run', 'runtime'], ['wait', 'wait']]) {
    const l = state.latency[what];
    put($(id), l.count ? duration(l.p50) : '–');
    put($(`${id}-more`), l.count ? `95 %: ${duration(l.p95)}` : 'none lately');
  }
  document.title = state.connected ? `${rate(state.throughput.rate)}/s · Jobs` : 'disconnected · Jobs';
}

// Bars of three seconds, aligned to the clock, so that they move and do not flicker.
function showChart() {
  const step = 3, width = 600, height = 100, ok = state.throughput.succeeded, bad = state.throughput.failed;
  const first = Math.floor(state.now) - ok.length, bars = new Map();
  for (let i = 0; i < ok.length; ++i) {
    const slot = Math.floor((first + i) / step), bar = bars.get(slot) || { at: slot * step - first, ok: 0, bad: 0, seconds: 0 };
    bar.ok += ok[i];
    bar.bad += bad[i];
    ++bar.seconds;
    bars.set(slot, bar);
  }
  const all = [...bars.values()], perSecond = b => (b.ok + b.bad) / b.seconds;
  const most = Math.max(...all.map(perSecond)), magnitude = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  const top = [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map(f => f * magnitude).find(v => v >= most) || 1;
  let okPath = '', badPath = '';
  for (const b of all) {
    if (b.ok + b.bad === 0) continue;
    const x = b.at / ok.length * width, w = step / ok.length * width * 0.78;
    const badHeight = b.bad / b.seconds / top * height, okHeight = b.ok / b.seconds / top * height;
    const rect = (y, h) => `M${x.toFixed(1)} ${y.toFixed(1)}h${w.toFixed(1)}v${h.toFixed(1)}h-${w.toFixed(1)}z`;
    if (b.bad) badPath += rect(height - badHeight, badHeight);
    if (b.ok) okPath += rect(height - badHeight - okHeight, okHeight);
  }
  $('chart-ok').setAttribute('d', okPath);
  $('chart-bad').setAttribute('d', badPath);
  put($('chart-top'), most > 0 ? `${number(top)}/s` : '');
  $('chart').setAttribute('aria-label', most > 0 ? `Jobs per second in the last five minutes: at most ${rate(most)}, now ${rate(state.throughput.rate)}` : 'No jobs in the last five minutes');
}

function showQueues() {
  list($('queues'), state.queues, () => {
    const element = make('tr'), name = cell(element, 'name'), length = cell(element, 'number'), workers = cell(element, 'number');
    return { element, name, length, workers: make('span', '', workers) };
  }, (row, q) => {
    put(row.name, q.name);
    put(row.length, q.length === null ? 'no list' : number(q.length));
    if (q.workers === 0) tag(row.workers, q.length > 0 ? 'warn' : '', 'none');
    else { row.workers.className = ''; put(row.workers, number(q.workers)); }
  });
  const dead = state.dead_letters ? `, ${plural(state.dead_letters, 'dead letter')}` : '';
  put($('queues-more'), `${number(state.unacked)} not acknowledged${dead}`);
}

function showWorkers() {
  list($('workers'), state.workers, () => {
    const element = make('tr'), about = cell(element), name = make('span', 'name', about), more = make('span', 'more', about);
    const label = make('span', 'tag', cell(element));
    return { element, name, more, label, active: cell(element, 'number', 'running'), done: cell(element, 'number', 'done'), load: cell(element, 'number', 'load') };
  }, (row, w) => {
    row.element.classList.toggle('gone', !w.alive);
    put(row.name, w.name);
    put(row.more, [w.software, w.pid ? `process ${w.pid}` : '', w.queues.join(', ')].filter(Boolean).join(' · '));
    tag(row.label, w.alive ? 'ok' : '', w.alive ? 'online' : 'offline');
    put(row.active, w.concurrency ? `${number(w.active)} of ${number(w.concurrency)}` : number(w.active));
    put(row.done, number(w.processed));
    put(row.load, w.load.length ? Number(w.load[0]).toFixed(2) : '–');
  });
  hide($('no-workers'), state.workers.length > 0);
  put($('workers-more'), `${number(state.workers.filter(w => w.alive).length)} online`);
}

const words = { started: ['blue', 'running'], received: ['', 'reserved'], retry: ['warn', 'retrying'] };

function showJobs() {
  list($('jobs'), state.running.jobs, job => {
    const element = make('tr'), about = cell(element), name = make('span', 'name', about), args = make('code', 'call', about), id = make('span', 'more mono', about);
    const label = make('span', 'tag', cell(element)), time = cell(element, 'number', 'for'), queue = cell(element, '', 'queue'), worker = cell(element, '', 'worker');
    const button = make('button', 'danger', cell(element, 'action'));
    button.type = 'button';
    button.addEventListener('click', () => askToRevoke(job.id));
    return { element, name, args, id, label, time, queue, worker, button };
  }, (row, j) => {
    put(row.name, j.name || 'unknown task');
    put(row.args, call(j));
    put(row.id, j.id);
    const [kind, word] = words[j.state] || ['', j.state];
    tag(row.label, j.revoking ? 'bad' : kind, j.revoking ? 'revoked' : word);
    const since = j.started || j.received;
    if (since) row.time.dataset.since = since; else delete row.time.dataset.since;
    put(row.time, since ? elapsed(since) : '–');
    put(row.queue, j.queue);
    put(row.worker, j.worker || '–');
    put(row.button, 'Revoke');
    row.button.disabled = j.revoking || !state.connected;
    hide(row.button, state.read_only);
    row.button.setAttribute('aria-label', `Revoke ${j.name} ${j.id}`);
  });
  const all = state.running.started + state.running.received + state.running.retry, rest = all - state.running.jobs.length;
  hide($('no-jobs'), all > 0);
  put($('jobs-more'), rest > 0 ? `and ${number(rest)} more` : '');
}

function showFailed() {
  list($('failed'), state.failed, job => {
    const element = make('li'), about = make('div', '', element);
    const exception = make('code', 'exception', about), what = make('div', 'what', about), more = make('div', 'more', about);
    const name = make('span', 'name', what), args = make('code', '', what), action = make('div', 'action', element), button = make('button', '', action), note = make('span', 'more', action);
    what.insertBefore(document.createTextNode(' '), args);
    const details = make('details', '', element), summary = make('summary', '', details), trace = make('pre', '', details);
    put(summary, 'Traceback');
    trace.tabIndex = 0;
    button.type = 'button';
    button.addEventListener('click', () => retry(job.id, button));
    details.addEventListener('toggle', () => { if (details.open && !trace.textContent) showTraceback(job.id, trace); });
    return { element, exception, name, args, more, button, note, details };
  }, (row, f) => {
    put(row.exception, f.exception || 'failed');
    put(row.name, f.name || 'unknown task');
    put(row.args, call(f));
    row.more.dataset.failed = JSON.stringify([f.at, [f.worker, f.queue && `queue ${f.queue}`, f.retries ? plural(f.retries, 'retry', 'retries') : '', f.id].filter(Boolean).join(' · ')]);
    showWhen(row.more);
    put(row.button, 'Retry');
    row.button.disabled = Boolean(f.why_not || f.sent_again_as) || !state.connected;
    hide(row.button, state.read_only);
    row.button.setAttribute('aria-label', `Retry ${f.name} ${f.id}`);
    put(row.note, f.sent_again_as ? `sent again as ${f.sent_again_as.slice(0, 8)}` : f.why_not && !state.read_only ? `Cannot be retried here: ${f.why_not}.` : '');
    hide(row.details, !f.has_traceback);
  });
  hide($('no-failed'), state.failed.length > 0);
  put($('failed-more'), state.failed.length ? `the latest ${number(state.failed.length)} of ${number(Math.max(state.totals.failed, state.failed.length))}` : '');
}
function showWhen(e) {
  const [at, rest] = JSON.parse(e.dataset.failed);
  put(e, `${ago(at)} · ${rest}`);
}

function show() {
  showConnection();
  showTiles();
  showChart();
  showQueues();
  showWorkers();
  showJobs();
  showFailed();
}

// --- what the buttons do

function toast(text) {
  put($('toast'), text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => put($('toast'), ''), 5000);
}
async function ask(id, verb) {
  const path = `/api/jobs/${encodeURIComponent(id)}${verb ? '/' + verb : ''}`;
  const answer = await fetch(path, verb ? { method: 'POST', headers: { 'X-Dashboard': '1' } } : {});
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.error || `status ${answer.status}`);
  return content;
}
async function retry(id, button) {
  button.disabled = true;
  try {
    const sent = await ask(id, 'retry');
    toast(`Sent again as ${sent.id}`);
  } catch (e) {
    toast(`Not sent again: ${e.message}`);
    button.disabled = false;
  }
}
function askToRevoke(id) {
  const job = state.running.jobs.find(j => j.id === id);
  if (!job) return;
  put($('confirm-text'), `${job.name}${call(job)} – ${id}`);
  $('confirm-yes').onclick = () => { $('confirm').close(); revoke(id); };
  $('confirm').showModal();
}
async function revoke(id) {
  try {
    await ask(id, 'revoke');
    toast('The workers were told');
  } catch (e) {
    toast(`Not revoked: ${e.message}`);
  }
}
async function showTraceback(id, place) {
  try {
    put(place, (await ask(id)).traceback || 'there is none');
  } catch (e) {
    put(place, '');
    toast(`No traceback: ${e.message}`);
  }
}
$('confirm-no').onclick = () => $('confirm').close();

// --- the stream

function connect() {
  const events = new EventSource('/events');
  events.addEventListener('state', e => {
    state = JSON.parse(e.data);
    skew = state.now - Date.now() / 1000;
    show();
  });
  events.addEventListener('open', showConnection); // back again, with nothing new
  events.addEventListener('error', () => {
    $('connection').dataset.state = 'lost';
    put($('connection'), 'dashboard unreachable, retrying');
    document.body.classList.add('stale');
    if (events.readyState === EventSource.CLOSED) setTimeout(connect, 3000); // it was refused: it does not try by itself
  });
}
setInterval(() => {
  if (!state) return;
  for (const e of document.querySelectorAll('[data-since]')) put(e, elapsed(Number(e.dataset.since)));
  for (const e of document.querySelectorAll('[data-failed]')) showWhen(e);
}, 1000);
connect();
