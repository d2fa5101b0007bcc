/** Speed and memory of the step table at 100,000 steps: `npm run bench`. Milliseconds of the processor, the least of nine runs: other processes only ever add to it. */
import { createServer } from 'vite';

const STEPS = 100_000;
const RUNS = 9;
const BASE_US = 1_782_000_000_000_000;

const server = await createServer({ server: { middlewareMode: true }, appType: 'custom', logLevel: 'error' });
const { StepTable } = await server.ssrLoadModule('/src/features/execution-log/table.ts');
const { layOut } = await server.ssrLoadModule('/src/features/execution-log/tree.ts');
const { skeletonOf } = await server.ssrLoadModule('/src/features/execution-log/samples.ts');

const idOf = (index) => index.toString(16).padStart(16, '0');
const parentOf = (index) => (index === 0 ? null : idOf(Math.floor((index - 1) / 8)));
let seq = 0;
function event(kind, index, at, more) {
  seq += 1;
  const common = { kind, event_id: seq.toString(16).padStart(32, '0'), seq, at_us: BASE_US + at };
  if (kind === 'step.progressed') return { ...common, ...more };
  const step = {
    type: index % 3 ? 'tool' : 'llm',
    name: `step ${index % 500}`,
    parent_step_id: parentOf(index),
    started_at_us: BASE_US + index * 10,
    status: kind === 'step.started' ? 'running' : 'ok',
    ...(kind === 'step.started' ? {} : { duration_us: 5_000, usage: { input: 10, output: 20 } }),
  };
  return { ...common, step_id: idOf(index), step };
}
const all = (make) => Array.from({ length: STEPS }, (_, index) => make(index));
const started = all((index) => event('step.started', index, index * 10));
const ended = all((index) => event('step.ended', index, index * 10 + 5_000));
// 1,000 heartbeats that list 100 open steps each
const heartbeats = Array.from({ length: 1_000 }, (_, beat) =>
  event('step.progressed', 0, beat * 1_000 + 1_000_000, {
    steps: Array.from({ length: 100 }, (_, place) => ({ step_id: idOf(beat * 100 + place), usage: { output: beat } })),
  }),
);
const skeleton = skeletonOf(
  all((index) => ({ id: idOf(index), parent: parentOf(index), name: `step ${index % 500}` })),
);
const empty = () => new StepTable(skeletonOf([]));
const apply = (table, events) => {
  for (const item of events)
    table.apply ? table.apply(item) : item.step ? table.applyDocument(item) : table.applyProgress(item);
};

const times = {};
function measure(name, prepare, run) {
  const taken = [];
  for (let i = 0; i < RUNS; i++) {
    const subject = prepare();
    const began = process.cpuUsage();
    run(subject);
    const { user, system } = process.cpuUsage(began);
    taken.push((user + system) / 1_000);
  }
  times[name] = Math.round(Math.min(...taken) * 10) / 10;
}

const open = () => {
  const table = empty();
  apply(table, started);
  return table;
};
measure(
  'table of a skeleton',
  () => skeleton,
  (data) => new StepTable(data),
);
measure('lay out', () => new StepTable(skeleton), layOut);
measure('100,000 starts', empty, (table) => apply(table, started));
measure('1,000 heartbeats of 100 steps', open, (table) => apply(table, heartbeats));
measure('100,000 ends', open, (table) => apply(table, ended));
globalThis.gc?.();
const before = process.memoryUsage();
const kept = open();
apply(kept, heartbeats);
apply(kept, ended);
globalThis.gc?.();
const after = process.memoryUsage();
const megabytes = (after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers) / 1e6;
process.stdout.write(`${JSON.stringify({ steps: kept.size, ...times, megabytes: Math.round(megabytes * 10) / 10 })}\n`);
await server.close();
