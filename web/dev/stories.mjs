/** Invented runs of a team of agents, as events with the milliseconds to wait before each. */

const QUESTIONS = [
  ['Plan three days in Kyoto in May for two, with one rainy day', 'Kyoto'],
  ['Find a quiet hotel in Paris near a park, under 180 EUR', 'Paris'],
  ['Where can we see whales from a train in Norway?', 'Norway'],
  ['Summarise the visa rules for a month in Vietnam', 'Vietnam'],
  ['Refund order A-1042 and tell the customer why it took so long', 'orders'],
];

const CLOSING = `Here is the plan:

- **Day 1** — temples in the north, then the philosopher's path
- **Day 2** — \`rain\`: the museum of crafts and a tea lesson
- **Day 3** — the gardens in the south, dinner by the river

| what | cost |
|---|---|
| hotel, 3 nights | 412 EUR |
| trains | 58 EUR |

All bookings can be cancelled until two days before.`;

const STACK = `Traceback (most recent call last):
  File "/app/agents/researcher.py", line 48, in research
    page = fetch(url, timeout=5)
  File "/app/.venv/lib/python3.11/site-packages/httpx/_api.py", line 210, in get
    return request("GET", url)
  File "/app/.venv/lib/python3.11/site-packages/httpx/_client.py", line 914, in send
    response = self._send_handling_auth(
  File "/app/.venv/lib/python3.11/site-packages/httpx/_transports/default.py", line 118, in map_exceptions
    raise mapped_exc(message) from exc
  File "/app/agents/tools.py", line 17, in fetch
    raise ToolError(f"{url} did not answer in {timeout} s")
agents.errors.ToolError: https://weather.example did not answer in 5 s`;

export function agentRun(index, hex, { fail = false, unpriced = false, live = false } = {}) {
  const [question, place] = QUESTIONS[index % QUESTIONS.length];
  const story = [];
  const open = new Map();
  let seq = 0;
  const event = (kind, at, more) => ({ kind, event_id: hex(16), seq: ++seq, at_us: at, ...more });
  const later = (wait, events) => story.push({ wait, events });
  const pace = live ? 1 : 0.6 + ((index * 7) % 10) / 8;

  const start = (wait, parent, type, name, more = {}) => {
    const id = hex(8);
    later(wait * pace, (at) => {
      const step = {
        type,
        name,
        status: 'running',
        started_at_us: at,
        seq,
        captured: ['input'],
        ...(parent ? { parent_step_id: parent } : {}),
        ...more,
      };
      open.set(id, step);
      const events = [event('step.started', at, { step_id: id, step })];
      if (more.input) events.push(payload(id, 'input', more.input, at));
      delete step.input;
      return events;
    });
    return id;
  };
  const payload = (id, slot, value, at) => {
    const messages = Array.isArray(value) && value[0]?.role;
    const text = typeof value === 'string' ? value : JSON.stringify(value);
    return event('payload.stored', at, {
      step_id: id,
      slot,
      mime: messages
        ? 'application/vnd.ams.messages+json'
        : typeof value === 'string'
          ? 'text/plain'
          : 'application/json',
      text,
      bytes: text.length,
    });
  };
  const end = (wait, id, { output, error, stack, ...more } = {}) =>
    later(wait * pace, (at) => {
      const step = {
        ...open.get(id),
        status: error ? 'error' : 'ok',
        ended_at_us: at,
        duration_us: at - open.get(id).started_at_us,
        captured: output ? ['input', 'output'] : ['input'],
        ...(error ? { error } : {}),
        ...more,
      };
      open.delete(id);
      const events = [event('step.ended', at, { step_id: id, step })];
      if (output) events.push(payload(id, 'output', output, at));
      if (stack) events.push(payload(id, 'error_stack', stack, at));
      events.push(
        payload(
          id,
          'original',
          {
            attributes: {
              'gen_ai.operation.name': 'chat',
              'gen_ai.system': 'openai',
              'server.address': 'api.example',
              'gen_ai.request.temperature': 0.2,
              'code.function': step.name,
            },
            consumed: [],
            events: [],
            links: [],
            scope: { name: 'ams.mock', version: '1' },
            resource: { 'service.name': 'trip-planner', 'host.name': 'laptop' },
          },
          at,
        ),
      );
      return events;
    });
  const beat = (wait, id, more = {}) =>
    later(wait * pace, (at) => [
      event('step.progressed', at, {
        steps: [...open.keys()].map((step_id) => ({ step_id, ...(step_id === id ? more : {}) })),
      }),
    ]);
  const text = (words) => [{ role: 'assistant', content: [{ type: 'text', text: words }], finish_reason: 'stop' }];
  const stream = (id, words) => {
    if (!live) return;
    const pieces = words.match(/[\s\S]{1,14}/g);
    pieces.forEach((piece, at_index) => {
      later(70, (at) => [
        event('step.progressed', at, {
          steps: [{ step_id: id }],
          deltas: [{ step_id: id, index: at_index, text: piece }],
        }),
      ]);
    });
  };
  const price = (nusd) => (unpriced ? {} : { cost_nusd: nusd, cost_source: 'computed' });
  const llm = (parent, agent, model, wait, input, output, usage, nusd) => {
    const id = start(30, parent, 'llm', 'chat', {
      agent,
      model_requested: model.replace(/-\d{4}.*/, ''),
      model,
      provider: 'openai',
      input,
    });
    if (typeof output === 'string') stream(id, output);
    end(wait, id, {
      output: typeof output === 'string' ? text(output) : output,
      usage,
      ttft_us: 240_000,
      parameters: '{"temperature":0.2,"max_tokens":1024,"stream":true}',
      finish_reasons: ['stop'],
      preview_output: typeof output === 'string' ? output.slice(0, 200).replaceAll('\n', ' ') : 'web_search(query=…)',
      ...price(nusd),
    });
    return id;
  };

  const head = {
    name: 'trip_team',
    agent: 'planner',
    preview: question,
    environment: 'prod',
    tags: index % 3 ? {} : { team: 'demo' },
  };
  let began = 0;
  later(0, (at) => {
    began = at;
    return [event('task.started', at, { task: { ...head, status: 'running', started_at_us: at } })];
  });
  const root = start(5, null, 'agent', 'trip_team', { agent: 'planner', input: { question } });
  const plan = start(10, root, 'agent', 'planner', { agent: 'planner' });
  const system = {
    role: 'system',
    content: [
      {
        type: 'text',
        text: 'You plan trips with a team of a researcher, a writer and a critic.\nAsk for facts before you promise anything. Never book without a person saying yes.\nAnswer in the language of the question, in short sentences, with prices in EUR.',
      },
    ],
  };
  llm(
    plan,
    'planner',
    'gpt-5-mini-2026-08-07',
    900,
    [system, { role: 'user', content: [{ type: 'text', text: question }] }],
    `1. Ask the researcher for **${place}**\n2. Let the writer draft\n3. Let the critic check`,
    { input: 412, output: 64, cache_read: 256 },
    261_000,
  );
  end(20, plan, { preview_output: 'three steps' });

  const research = start(15, root, 'agent', 'researcher', { agent: 'researcher' });
  const call = (id, name, args) => ({ type: 'tool_call', id, name, arguments: args });
  llm(
    research,
    'researcher',
    'gpt-5-mini-2026-08-07',
    700,
    [system, { role: 'user', content: [{ type: 'text', text: `Facts about ${place}` }] }],
    [
      {
        role: 'assistant',
        content: [
          { type: 'reasoning', text: 'Weather first, then places.' },
          call('call_1', 'get_weather', { city: place }),
          call('call_2', 'web_search', { query: `${place} quiet places`, limit: 5 }),
        ],
        finish_reason: 'tool_calls',
      },
    ],
    { input: 655, output: 48, reasoning: 20 },
    412_000,
  );
  const weather = start(20, research, 'tool', 'get_weather', {
    agent: 'researcher',
    tool_name: 'get_weather',
    input: { city: place },
  });
  const search = start(10, research, 'tool', 'web_search', {
    agent: 'researcher',
    tool_name: 'web_search',
    input: { query: `${place} quiet places`, limit: 5 },
  });
  beat(300);
  if (fail) {
    end(420, weather, {
      error: { type: 'agents.errors.ToolError', message: 'https://weather.example did not answer in 5 s' },
      stack: STACK,
      attempts: 2,
    });
  } else end(420, weather, { output: { celsius: 21, sky: 'sunny', wind_kmh: 9 }, preview_output: '21 degrees, sunny' });
  const retrieve = start(10, search, 'retrieval', 'places index', {
    agent: 'researcher',
    input: { query: `${place} quiet places`, k: 5 },
  });
  const embed = start(4, retrieve, 'embedding', 'embed query', { model: 'text-embedding-3-small', provider: 'openai' });
  end(60, embed, { usage: { input: 9 } });
  end(140, retrieve, {
    output: {
      documents: Array.from({ length: 5 }, (_, n) => ({
        id: `d${n}`,
        score: 0.91 - n * 0.07,
        text: `A calm corner of ${place}, number ${n + 1}`,
      })),
    },
    preview_output: '5 documents',
  });
  const rank = start(5, search, 'rerank', 'rerank-v4', { model: 'rerank-v4' });
  end(90, rank);
  end(40, search, {
    output: [
      { title: `Ten calm corners of ${place}`, url: 'https://travel.example/calm' },
      { title: 'Gardens at dawn', url: 'https://travel.example/dawn' },
    ],
    preview_output: '2 results',
  });
  llm(
    research,
    'researcher',
    'gpt-5-mini-2026-08-07',
    600,
    [
      system,
      { role: 'user', content: [{ type: 'text', text: `Facts about ${place}` }] },
      {
        role: 'assistant',
        content: [
          call('call_1', 'get_weather', { city: place }),
          call('call_2', 'web_search', { query: `${place} quiet places`, limit: 5 }),
        ],
      },
      {
        role: 'tool',
        content: [
          {
            type: 'tool_result',
            id: 'call_1',
            name: 'get_weather',
            result: fail ? { error: 'did not answer in 5 s' } : { celsius: 21, sky: 'sunny' },
          },
        ],
      },
      {
        role: 'tool',
        content: [
          {
            type: 'tool_result',
            id: 'call_2',
            name: 'web_search',
            result: [{ title: 'Ten calm corners' }, { title: 'Gardens at dawn' }],
          },
        ],
      },
    ],
    `${place} is mild in May. Two good sources on calm places.`,
    { input: 1_204, output: 132 },
    780_000,
  );
  end(20, research, { preview_output: 'weather and two sources' });

  const write = start(15, root, 'agent', 'writer', { agent: 'writer' });
  const memory = start(10, write, 'memory', 'recall preferences', { input: { user: 'u-3' } });
  end(35, memory, { output: { likes: ['gardens', 'tea'], budget_eur: 900 } });
  llm(
    write,
    'writer',
    'claude-sonnet-5',
    1_400,
    [system, { role: 'user', content: [{ type: 'text', text: 'Write the plan' }] }],
    CLOSING,
    { input: 2_310, output: 688, cache_read: 1_536 },
    12_450_000,
  );
  end(20, write, { preview_output: 'a plan of three days' });

  const check = start(15, root, 'agent', 'critic', { agent: 'critic' });
  const guard = start(10, check, 'guardrail', 'no personal data');
  end(60, guard, { output: { passed: true } });
  llm(
    check,
    'critic',
    'gpt-5-2026-08-07',
    1_000,
    [system, { role: 'user', content: [{ type: 'text', text: CLOSING }] }],
    'Sound. The dinner on day 3 needs a reservation.',
    { input: 1_902, output: 40, reasoning: 24 },
    2_610_000,
  );
  const judge = start(10, check, 'evaluator', 'plan quality');
  end(120, judge, { output: { score: 0.86, label: 'good' } });
  end(15, check, { preview_output: 'sound' });
  const hand = start(10, root, 'handoff', 'ask a person', {
    agent: 'planner',
    input: { question: 'Book the hotel for 412 EUR?' },
  });
  beat(50, hand, { status: 'waiting' });
  if (live) for (let n = 0; n < 3; n++) beat(2_000, hand, { status: 'waiting' });
  end(live ? 400 : 3_000, hand, { output: 'yes' });
  const flow = start(10, root, 'workflow', 'book', { agent: 'planner' });
  const book = start(10, flow, 'tool', 'book_hotel', { tool_name: 'book_hotel', input: { city: place, nights: 3 } });
  end(350, book, { output: { confirmation: 'KX-2291' }, preview_output: 'KX-2291' });
  end(10, flow);
  end(20, root, { output: CLOSING, preview_output: CLOSING.slice(0, 80).replaceAll('\n', ' ') });
  later(5, (at) => [
    event('task.ended', at, {
      task: { ...head, status: 'ok', started_at_us: began, ended_at_us: at, duration_us: at - began },
    }),
  ]);
  return story;
}

/** A task of very many steps, made as columns at once. */
export function bigTask(base, n) {
  const id = `0000000000000000000000000${String(n).padStart(7, '0')}`;
  const types = ['agent', 'llm', 'tool', 'retrieval', 'workflow'];
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
    ].map((name) => [name, new Array(n)]),
  );
  const total = 3_400e6;
  for (let i = 0; i < n; i++) {
    const agent = i === 0 ? -1 : i % 20 === 1 ? 0 : i - ((i - 1) % 20);
    const own = i === 0 ? total : i % 20 === 1 ? (total / n) * 19 : (total / n) * (0.5 + ((i * 13) % 10) / 8);
    const type = i === 0 || i % 20 === 1 ? 0 : 1 + ((i * 7) % 4);
    columns.step_id[i] = (i + 1).toString(16).padStart(16, '0');
    columns.parent[i] = agent;
    columns.type[i] = type;
    columns.status[i] = i > 1 && i % 997 === 0 ? 1 : 0;
    columns.name[i] = i === 0 ? 0 : type === 0 ? 1 : type + 1;
    columns.agent[i] = type === 0 ? 0 : -1;
    columns.model[i] = type === 1 ? 0 : -1;
    columns.start[i] = Math.round((total / n) * i);
    columns.duration[i] = Math.round(own);
    columns.input_tokens[i] = type === 1 ? 400 + (i % 900) : null;
    columns.output_tokens[i] = type === 1 ? 40 + (i % 90) : null;
    columns.cost_nusd[i] = type === 1 ? 200_000 : null;
    columns.counted[i] = type === 1 ? 1 : 0;
    columns.seq[i] = i;
    columns.phase[i] = 2;
    columns.at[i] = columns.start[i] + columns.duration[i];
    columns.first_offset[i] = 0;
    columns.end_offset[i] = 0;
  }
  const skeleton = {
    task_id: id,
    position: '1.0.0',
    complete: true,
    base_us: base,
    types,
    statuses: ['ok', 'error'],
    names: ['crawl', 'worker', 'chat', 'fetch', 'lookup', 'batch'],
    agents: ['worker'],
    models: ['gpt-5-mini'],
    columns,
  };
  const row = {
    task_id: id,
    name: 'crawl',
    kind: 'task',
    agent: 'crawler',
    status: 'ok',
    started_at_us: base,
    ended_at_us: base + total,
    duration_us: total,
    steps: n,
    errors: 100,
    running_steps: 0,
    waiting_steps: 0,
    lost_steps: 0,
    input_tokens: 21e6,
    output_tokens: 2e6,
    cost_usd: '5.01',
    unpriced_steps: 0,
    unmetered_calls: 0,
    conversation_id: null,
    user_id: null,
    environment: null,
    tags: {},
    parent_task_id: null,
    preview: 'Crawl the whole catalogue',
    error: null,
    last_event_at_us: base + total,
    flags: [],
  };
  const stepOf = (stepId) => {
    const i = Number.parseInt(stepId, 16) - 1;
    return {
      task_id: id,
      step_id: stepId,
      parent_step_id: null,
      type: types[columns.type[i]],
      type_raw: null,
      name: skeleton.names[columns.name[i]],
      span_name: null,
      status: columns.status[i] ? 'error' : 'ok',
      agent: null,
      provider: null,
      model_requested: null,
      model: null,
      started_at_us: base + columns.start[i],
      ended_at_us: base + columns.at[i],
      duration_us: columns.duration[i],
      ttft_us: null,
      seq: i,
      usage: null,
      counted: false,
      cost_usd: null,
      cost_source: 'unknown',
      response_id: null,
      finish_reasons: [],
      parameters: null,
      tool_name: null,
      tool_call_id: null,
      error: columns.status[i] ? { type: 'TimeoutError', message: 'no answer in 5 s' } : null,
      attempts: 1,
      preview_input: null,
      preview_output: `item ${i}`,
      captured: [],
      too_large: [],
      flags: [],
      progress: null,
      stamps: { document: [2, base + columns.at[i], i, '0'.repeat(32)], progress: null },
    };
  };
  return { id, skeleton, row, stepOf };
}
