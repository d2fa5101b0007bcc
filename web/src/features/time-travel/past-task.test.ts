import { afterEach, describe, expect, it, vi } from 'vitest';
import type { LiveClient } from '../../api/live';
import { LiveTask } from '../execution-log/live-task';
import { PastTask } from './past-task';
import { offsetOf } from './task-log';

const T0 = 1_790_000_000_000_000;
const TASK = 'a'.repeat(32);
const PATIENCE = { timeout: 30_000 };

function step(id: string, changes: object = {}) {
  return { type: 'llm', name: id, status: 'ok', started_at_us: T0, ...changes };
}

function event(kind: string, at: number, more: object) {
  return { kind, event_id: `${at}`.padStart(32, '0'), seq: at, at_us: T0 + at, ...more };
}

const EVENTS = [
  [
    event('task.started', 1, { task: { name: 'trip', status: 'running', started_at_us: T0 } }),
    event('step.started', 1, { step_id: 'r', step: step('r', { type: 'agent', agent: 'guide', status: 'running' }) }),
  ],
  [event('step.started', 2, { step_id: 'a', step: step('a', { parent_step_id: 'r', status: 'running' }) })],
  [
    event('step.ended', 3, {
      step_id: 'a',
      step: step('a', { parent_step_id: 'r', usage: { input: 10, output: 4 }, cost_nusd: 2_100_000, duration_us: 5 }),
    }),
  ],
  [
    event('step.ended', 4, { step_id: 'r', step: step('r', { type: 'agent', agent: 'guide', duration_us: 9 }) }),
    event('task.ended', 4, { task: { name: 'trip', status: 'ok', started_at_us: T0, duration_us: 9 } }),
  ],
];
const LINES = [
  ...EVENTS.map((events, index) => ({ position: `1.7.${10 + 3 * index}`, at_ms: index, batch: { events } })),
  { end: true, position: '1.7.20' },
];

/** The platform's answers; what is asked is the time machine's own. */
function answerWith(lines: object[]) {
  vi.stubGlobal('navigator', {});
  vi.stubGlobal('fetch', async (url: string) =>
    url.endsWith('/refresh')
      ? Response.json({ user: {}, access_token: 't', expires_in: 600 })
      : new Response(lines.map((line) => `${JSON.stringify(line)}\n`).join('')),
  );
}

async function travel(position: string, answer = answerWith): Promise<PastTask> {
  answer(LINES);
  const present = new LiveTask('p', TASK, {} as LiveClient);
  present.task = { task_id: TASK, status: 'ok', unmetered_calls: 0 } as never;
  const past = new PastTask('p', TASK, {} as LiveClient, present, position);
  past.start();
  await vi.waitFor(() => expect(past.complete).toBe(true), PATIENCE);
  return past;
}

/** The same lines, one portion each, as a slow connection brings them. */
function answerInPortions(lines: object[]) {
  vi.stubGlobal('navigator', {});
  vi.stubGlobal('fetch', async (url: string) => {
    if (url.endsWith('/refresh')) return Response.json({ user: {}, access_token: 't', expires_in: 600 });
    const portions = lines.map((line) => new TextEncoder().encode(`${JSON.stringify(line)}\n`));
    return new Response(
      new ReadableStream({
        async pull(controller) {
          await new Promise((done) => setTimeout(done, 1));
          const next = portions.shift();
          if (next) controller.enqueue(next);
          else controller.close();
        },
      }),
    );
  });
}

function seen(past: PastTask) {
  const { task } = past;
  return [
    past.table?.ids.slice(),
    task?.status,
    task?.steps,
    task?.input_tokens,
    task?.cost_usd,
    task?.agent,
    task?.duration_us,
  ];
}

afterEach(() => vi.unstubAllGlobals());

describe('PastTask', () => {
  it('shows steps, status and totals as they were at each position', async () => {
    const past = await travel('now');

    expect(seen(past)).toEqual([['r', 'a'], 'ok', 2, 10, '0.0021', 'guide', 9]);
    past.seek(1);
    expect(seen(past)).toEqual([['r'], 'running', 1, 0, null, 'guide', null]);
    past.seek(2);
    expect(seen(past)).toEqual([['r', 'a'], 'running', 2, 0, null, 'guide', null]);
    past.seek(3);
    expect(seen(past).slice(0, 5)).toEqual([['r', 'a'], 'running', 2, 10, '0.0021']);
  });

  it('is at the same place forwards and backwards', async () => {
    const past = await travel('1.7.10');
    const at = (index: number) => {
      past.seek(index);
      return seen(past);
    };
    const forwards = [1, 2, 3, 4].map(at);

    const backwards = [4, 3, 2, 1].map(at);

    expect(backwards.reverse()).toEqual(forwards);
  });

  it('begins at the last record up to the position of the address', async () => {
    expect((await travel('1.7.15')).position).toBe('1.7.13');
    expect((await travel('1.7.16')).position).toBe('1.7.16');
    expect((await travel('1.7.999')).position).toBe('1.7.19');
    expect((await travel('1.7.2')).position).toBe('1.7.10');
    expect((await travel('nonsense')).position).toBe('1.7.19');
  });

  it('is at the last record when the log comes in portions', async () => {
    expect((await travel('now', answerInPortions)).position).toBe('1.7.19');
    expect((await travel('1.7.15', answerInPortions)).position).toBe('1.7.13');
  });

  it('is at the same place from checkpoints of a large task, and derives when the reader rests', async () => {
    const many = Array.from({ length: 12_500 }, (_, n) => {
      const parent = { parent_step_id: n === 0 ? null : 's0', started_at_us: T0 + n };
      const usage = { usage: { input: 1, output: 1 }, cost_nusd: 10, agent: n === 0 ? 'guide' : null };
      const events = [event('step.ended', n + 1, { step_id: `s${n}`, step: step(`s${n}`, { ...parent, ...usage }) })];
      return { position: `1.7.${10 + n}`, at_ms: n, batch: { events } };
    });
    const lines = [...many, { end: true, position: '1.7.20000' }];
    const past = await travel('now', () => answerWith(lines));
    const at = (index: number) => {
      past.seek(index);
      return [past.table?.size, past.table?.ids.at(-1), past.task?.steps, past.task?.input_tokens, past.position];
    };

    for (const index of [12_499, 12_498, 10_001, 10_000, 9_999, 3])
      expect(at(index)).toEqual([index, `s${index - 1}`, index, index, `1.7.${9 + index}`]);
    at(12_400);
    past.seek(12_500);
    await vi.waitFor(() => expect(past.task?.steps).toBe(12_500), PATIENCE);
    const { table } = past;
    await vi.waitFor(() => expect(table?.agents.at(table.agent[12_499])).toBe('guide'), PATIENCE);
  }, 60_000);

  it('says that a log which ends early is incomplete', async () => {
    answerWith(LINES.slice(0, 2));
    const present = new LiveTask('p', TASK, {} as LiveClient);
    present.task = { task_id: TASK, status: 'ok' } as never;
    const past = new PastTask('p', TASK, {} as LiveClient, present, 'now');

    past.start();

    await vi.waitFor(() => expect(past.logError?.code).toBe('incomplete'));
  });
});

describe('offsetOf', () => {
  it('reads the offset of a position', () => {
    expect(offsetOf('1.7.4211')).toBe(4211);
    expect(offsetOf('now')).toBeNaN();
  });
});
