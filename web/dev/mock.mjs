/**
 * A platform made of paper, for work on the explorer alone: the REST and websocket shapes with invented tasks, one of which is
 * always running. `npm run mock`, then `npm run dev`. Nothing here is shipped.
 *
 * The project `empty` has no tasks; the task `0000…100000` has 100,000 steps.
 */
import { randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { WebSocketServer } from 'ws';
import { StepDocumentDefaults } from '../src/api/types.gen.ts';
import { EMPTY_STEP, ended, fold, statusOf, stepIdsOf, usageOf } from '../src/fold/fold.ts';
import { agentRun, bigTask } from './stories.mjs';

const PORT = Number(process.env.PORT ?? 8091);
const PROJECT = '0190a000-0000-7000-8000-000000000001';
const EMPTY = '0190a000-0000-7000-8000-000000000002';
const user = {
  user_id: '0190a000-0000-7000-8000-0000000000aa',
  username: 'ada',
  email: 'ada@example.org',
  created_at: '2026-11-01T10:00:00Z',
};

const now = () => Date.now() * 1_000;
const hex = (bytes) => randomBytes(bytes).toString('hex');
const tasks = new Map();
const sockets = new Set();
const keys = [
  {
    key_id: 'k1',
    name: 'laptop',
    prefix: 'ams_8f3k',
    created_at: '2026-11-20T10:00:00Z',
    expires_at: null,
    last_used_at: '2026-11-26T06:00:00Z',
    scopes: ['ingest'],
  },
];
let offset = 0;

function open(id, document) {
  const task = {
    id,
    document,
    steps: new Map(),
    payloads: new Map(),
    first: null,
    last: null,
    events: 0,
    lastUs: now(),
    ended: false,
  };
  tasks.set(id, task);
  return task;
}

/** Take events of a task: fold them, keep payloads, and send the frame. */
function publish(task, events) {
  const shown = [];
  task.events += events.length;
  for (const event of events) {
    if (event.kind === 'payload.stored') {
      task.payloads.set(`${event.step_id}/${event.slot}`, event);
      continue;
    }
    task.lastUs = Math.max(task.lastUs, event.at_us);
    shown.push(event);
    if (event.kind.startsWith('task.')) {
      task.document = event.task;
      task.ended = event.kind === 'task.ended';
      continue;
    }
    for (const id of stepIdsOf(event)) task.steps.set(id, fold(task.steps.get(id) ?? EMPTY_STEP, event, id));
  }
  if (shown.length === 0) return;
  const prev = task.last;
  offset += 1;
  task.last = `1.0.${offset}`;
  task.first ??= task.last;
  const batch = {
    v: 1,
    project_id: PROJECT,
    task_id: task.id,
    producer: { sdk: 'mock', instance_id: 'm' },
    events: shown,
  };
  const frame = JSON.stringify([{ op: 'frame', sub: `task:${task.id}`, prev, position: task.last, batch }]);
  const change = { v: 1, project_id: PROJECT, position: task.last, task: taskRow(task) };
  const list = JSON.stringify([{ op: 'task', sub: 'list', task_id: task.id, change }]);
  setTimeout(() => {
    for (const socket of sockets) {
      if (socket.subs.has(`task:${task.id}`)) socket.send(frame);
      if (socket.subs.has('list')) socket.send(list);
    }
  }, 40);
}

function usd(nusd) {
  return nusd === null ? null : (nusd / 1e9).toFixed(9).replace(/\.?0+$/, '');
}

function taskRow(task) {
  if (task.row) return task.row;
  const states = [...task.steps.values()].filter((state) => state.document);
  const counted = states.filter((state) => state.document.type === 'llm');
  const total = (pick) => counted.reduce((sum, state) => sum + (pick(usageOf(state)) ?? 0), 0);
  const costs = counted.map((state) => state.document.cost_nusd).filter((cost) => cost != null);
  const of = (status) => states.filter((state) => statusOf(state) === status).length;
  const { document } = task;
  return {
    task_id: task.id,
    name: document.name,
    kind: 'task',
    agent: document.agent ?? null,
    status: document.status === 'running' && of('waiting') ? 'waiting' : document.status,
    started_at_us: document.started_at_us,
    ended_at_us: document.ended_at_us ?? null,
    duration_us: document.duration_us ?? null,
    steps: states.length,
    errors: of('error'),
    running_steps: of('running'),
    waiting_steps: of('waiting'),
    lost_steps: of('lost'),
    input_tokens: total((usage) => usage?.input),
    output_tokens: total((usage) => usage?.output),
    cost_usd: costs.length ? usd(costs.reduce((a, b) => a + b, 0)) : null,
    unpriced_steps: counted.length - costs.length,
    unmetered_calls: 0,
    conversation_id: 'conv-7f31',
    user_id: 'u-3',
    environment: document.environment ?? null,
    tags: document.tags ?? {},
    parent_task_id: null,
    preview: document.preview ?? null,
    error: document.error ?? null,
    last_event_at_us: task.lastUs,
    sort_at_us: document.started_at_us ?? task.lastUs,
    flags: [],
  };
}

function stepRow(task, id) {
  const state = task.steps.get(id);
  if (!state?.document) return null;
  const { cost_nusd, ...columns } = { ...StepDocumentDefaults, ...state.document };
  return {
    ...columns,
    task_id: task.id,
    step_id: id,
    status: statusOf(state),
    usage: usageOf(state),
    counted: columns.type === 'llm',
    cost_usd: usd(cost_nusd),
    progress: state.progress,
    stamps: { document: state.stamp, progress: state.progress_stamp },
  };
}

function skeleton(task) {
  if (task.skeleton) return task.skeleton;
  const rows = [...task.steps.entries()].filter(([, state]) => state.document);
  rows.sort(
    ([a, x], [b, y]) =>
      x.document.started_at_us - y.document.started_at_us || x.document.seq - y.document.seq || (a < b ? -1 : 1),
  );
  const base = rows[0]?.[1].document.started_at_us ?? now();
  const places = new Map(rows.map(([id], index) => [id, index]));
  const dictionary = () => {
    const words = [];
    return {
      words,
      of: (word) => (word == null ? -1 : words.includes(word) ? words.indexOf(word) : words.push(word) - 1),
    };
  };
  const [types, statuses, names, agents, models] = Array.from({ length: 5 }, dictionary);
  const columns = Object.fromEntries(
    [
      'step_id',
      'parent',
      'type',
      'status',
      'name',
      'agent',
      'model',
      'start',
      'duration',
      'input_tokens',
      'output_tokens',
      'cost_nusd',
      'counted',
      'seq',
      'phase',
      'at',
      'first_offset',
      'end_offset',
    ].map((name) => [name, []]),
  );
  const missing = {};
  rows.forEach(([id, state], index) => {
    const d = state.document;
    const usage = usageOf(state);
    const parent = d.parent_step_id == null ? -1 : (places.get(d.parent_step_id) ?? -2);
    if (parent === -2) missing[index] = d.parent_step_id;
    const values = {
      step_id: id,
      parent,
      type: types.of(d.type),
      status: statuses.of(statusOf(state)),
      name: names.of(d.name),
      agent: agents.of(d.agent),
      model: models.of(d.model),
      start: d.started_at_us - base,
      duration: d.duration_us ?? null,
      input_tokens: usage?.input ?? null,
      output_tokens: usage?.output ?? null,
      cost_nusd: d.cost_nusd ?? null,
      counted: d.type === 'llm' ? 1 : 0,
      seq: d.seq ?? 0,
      phase: state.stamp[0],
      at: state.stamp[1] - base,
      first_offset: 0,
      end_offset: ended(state) ? 0 : null,
    };
    for (const [name, value] of Object.entries(values)) columns[name].push(value);
  });
  return {
    task_id: task.id,
    position: task.last ?? `1.0.${offset}`,
    complete: true,
    base_us: base,
    types: types.words,
    statuses: statuses.words,
    names: names.words,
    agents: agents.words,
    models: models.words,
    columns,
    missing_parents: missing,
  };
}

function payloads(task, id) {
  const step = task.steps.get(id)?.document;
  return ['input', 'output', 'original', 'error_stack'].flatMap((slot) => {
    const stored = task.payloads.get(`${id}/${slot}`);
    if (stored)
      return [
        {
          slot,
          mime: stored.mime,
          text: stored.text,
          bytes: stored.bytes,
          truncated: stored.truncated ?? false,
          absent: null,
        },
      ];
    if (slot === 'original' || slot === 'error_stack') return [];
    const absent = step?.too_large?.includes(slot)
      ? 'too_large'
      : step?.captured?.includes(slot)
        ? 'not_here_yet'
        : 'not_captured';
    return [{ slot, mime: 'text/plain', text: null, bytes: 0, truncated: false, absent }];
  });
}

/** One producer; each fifth task lost three of its events on the way. */
function delivery(task) {
  const missing = task.events > 20 && Number.parseInt(task.id.slice(0, 4), 16) % 5 === 0 ? 3 : 0;
  return {
    items: [
      {
        instance_id: 'm'.padEnd(32, '0'),
        sdk: 'mock',
        version: '1.0.0',
        host: 'localhost',
        delivered: task.events - missing,
        missing,
        duplicates: 0,
        unproven: 0,
        truncated: 0,
        dropped: {},
        gaps: missing ? [[10, 12]] : [],
        ranges: missing
          ? [
              [1, 9],
              [13, task.events],
            ]
          : [[1, task.events]],
        reported_at_us: task.lastUs,
      },
    ],
    first_position: task.first,
    last_position: task.last,
    received_at_us: task.lastUs + 35_000,
    searchable_until_us: null,
    next_cursor: null,
  };
}

const session = () => ({ access_token: hex(16), token_type: 'Bearer', expires_in: 600, user });

function problem(response, status, code, detail) {
  response.writeHead(status, { 'content-type': 'application/problem+json' });
  response.end(JSON.stringify({ title: code, status, code, detail }));
}

const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  const url = new URL(request.url, 'http://mock');
  const answer = (value, status = 200, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(value === undefined ? undefined : JSON.stringify(value));
  };
  const path = url.pathname;
  const cookie = { 'set-cookie': 'mock=1; Path=/; HttpOnly; SameSite=Strict' };
  if (path === '/api/auth/login') {
    if (JSON.parse(body).password === 'wrong') return problem(response, 401, 'unauthenticated', 'Wrong.');
    return answer(session(), 200, cookie);
  }
  if (path === '/api/auth/rules')
    return answer({ username_rule: 'A username.', password_chars_min: 12, password_chars_max: 256 });
  if (path === '/api/auth/register') return answer({ user }, 201);
  if (path === '/api/auth/redeem')
    return JSON.parse(body).code === 'used'
      ? problem(response, 401, 'unauthenticated', 'Used.')
      : answer(session(), 200, cookie);
  if (path === '/api/auth/logout') return answer(undefined, 204, { 'set-cookie': 'mock=; Path=/; Max-Age=0' });
  if (path === '/api/auth/refresh')
    return request.headers.cookie?.includes('mock=1')
      ? answer(session())
      : problem(response, 401, 'unauthenticated', 'No session.');
  if (!request.headers.authorization) return problem(response, 401, 'unauthenticated', 'Sign in first.');
  if (path === '/api/projects' && request.method === 'GET') {
    return answer({
      items: [
        { project_id: PROJECT, name: 'Trip planner', role: 'owner' },
        { project_id: EMPTY, name: 'Empty project', role: 'owner' },
      ],
      next_cursor: null,
    });
  }
  if (path === '/api/live/tickets') return answer({ ticket: hex(8), expires_in: 30 });
  let match = /^\/api\/projects\/[^/]+\/keys(?:\/(\w+))?$/.exec(path);
  if (match) {
    if (request.method === 'POST') {
      const key_id = hex(4);
      keys.unshift({
        key_id,
        name: JSON.parse(body).name,
        prefix: `ams_${key_id.slice(0, 4)}`,
        created_at: new Date().toISOString(),
        expires_at: null,
        last_used_at: null,
        scopes: ['ingest'],
      });
      return answer({ key_id, key: `ams_${key_id}_${hex(16)}` }, 201);
    }
    if (request.method === 'DELETE') {
      keys.splice(
        keys.findIndex((key) => key.key_id === match[1]),
        1,
      );
      return answer(undefined, 204);
    }
    return answer({ items: keys, next_cursor: null });
  }
  match = /^\/api\/traces\/([^/]+)\/(.*)$/.exec(path);
  if (!match) return problem(response, 404, 'not_found', 'No such route.');
  const [, project, rest] = match;
  if (rest === 'agents') {
    return answer({
      items: ['planner', 'researcher', 'writer', 'critic'].map((name) => ({
        name,
        version: '1.2',
        framework: 'ams',
        description: `The ${name} of the trip team`,
        tools: name === 'researcher' ? ['web_search', 'get_weather'] : [],
        last_seen_at_us: now() - 40e6,
      })),
      next_cursor: null,
    });
  }
  if (rest === 'tasks') {
    if (project === EMPTY) return answer({ items: [], next_cursor: null });
    const q = url.searchParams.get('q') ?? '';
    if (q.includes('latancy')) {
      response.writeHead(400, { 'content-type': 'application/problem+json' });
      return response.end(
        JSON.stringify({
          title: 'Bad',
          status: 400,
          code: 'bad_query',
          detail: 'There is no field "latancy".',
          column: 1,
          suggestion: 'latency:>2s',
        }),
      );
    }
    const [status, agent] = ['status', 'agent'].map((name) => url.searchParams.get(name));
    const all = [...tasks.values()]
      .map(taskRow)
      .filter(
        (task) =>
          (!status || task.status === status) &&
          (!agent || task.agent === agent) &&
          (!q || `${task.name} ${task.preview}`.includes(q)),
      )
      .sort((a, b) => b.started_at_us - a.started_at_us);
    const from = Number(url.searchParams.get('cursor') ?? 0);
    const limit = Number(url.searchParams.get('limit') ?? 50);
    return answer({
      items: all.slice(from, from + limit),
      next_cursor: from + limit < all.length ? String(from + limit) : null,
    });
  }
  match = /^tasks\/(\w+)(?:\/(\w+)(?:\/(\w+))?)?$/.exec(rest);
  const task = match && project === PROJECT ? tasks.get(match[1]) : null;
  if (!task) return problem(response, 404, 'not_found', 'There is no such task in this project.');
  if (!match[2]) return answer({ task: taskRow(task), position: task.last });
  if (match[2] === 'skeleton') return answer(skeleton(task));
  if (match[2] === 'delivery') return answer(delivery(task));
  if (match[3]) {
    const step = task.stepOf ? task.stepOf(match[3]) : stepRow(task, match[3]);
    return step
      ? answer({ step, payloads: payloads(task, match[3]) })
      : problem(response, 404, 'not_found', 'There is no such step.');
  }
  const ids = (url.searchParams.get('step_id') ?? '').split(',').filter(Boolean);
  answer({
    items: ids.map((id) => (task.stepOf ? task.stepOf(id) : stepRow(task, id))).filter(Boolean),
    next_cursor: null,
    position: task.last,
  });
});

new WebSocketServer({ server, path: '/api/live', handleProtocols: () => 'ams.v1' }).on('connection', (socket) => {
  socket.subs = new Set();
  sockets.add(socket);
  socket.on('close', () => sockets.delete(socket));
  socket.on('message', (text) => {
    const message = JSON.parse(text);
    const sub = message.sub ?? (message.list ? 'list' : `task:${message.task_id}`);
    if (message.op === 'subscribe') {
      socket.subs.add(sub);
      socket.send(JSON.stringify([{ op: 'subscribed', id: message.id, sub, position: message.after ?? null }]));
    } else if (message.op === 'unsubscribe') {
      socket.subs.delete(sub);
      socket.send(JSON.stringify([{ op: 'unsubscribed', id: message.id, sub }]));
    } else socket.send(JSON.stringify([{ op: 'renewed', id: message.id, expires_at_us: now() + 600e6 }]));
  });
});

// what was before the page was opened
for (let i = 0; i < 260; i++) {
  const task = open(hex(16), { name: '', status: 'running' });
  let at = now() - (i + 1) * (i < 20 ? 47e6 : 900e6);
  const story = agentRun(i, hex, { fail: i % 7 === 2, unpriced: i % 9 === 4 });
  for (const { wait, events } of story) {
    at += wait * 1_000;
    publish(task, events(at));
  }
}
const big = bigTask(now() - 3_600e6, 100_000);
tasks.set(big.id, {
  ...big,
  steps: new Map(),
  payloads: new Map(),
  first: '1.0.0',
  last: '1.0.0',
  events: 200_000,
  lastUs: now(),
});

async function run(index) {
  const task = open(hex(16), { name: '', status: 'running' });
  const waits = agentRun(index, hex, { fail: index % 3 === 1, live: true });
  for (const { wait, events } of waits) {
    await new Promise((done) => setTimeout(done, wait));
    publish(task, events(now()));
  }
}
for (let index = 300; ; index++) {
  if (index === 300) server.listen(PORT, '127.0.0.1', () => console.log(`mock on http://127.0.0.1:${PORT}`));
  await Promise.race([run(index), new Promise((done) => setTimeout(done, 25_000))]);
}
