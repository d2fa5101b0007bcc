/**
 * What happened when in a task, in as many columns of time as a strip has pixels: the size of the answer does not depend on the
 * number of steps. Pure, and run in a worker.
 */
import { STATUSES, STEP_TYPES } from '../../api/types';
import { agentsOf, type Columns } from '../execution-log/columns';
import type { View } from '../execution-log/waterfall';

/** More agents than that share the last lane. */
export const LANES_MAX = 10;
const NONE = -1;

export interface Lane {
  name: string;
  /** steps of it in the task */
  steps: number;
  /** the step to show at each pixel: the one that started last, errors first; -1: none */
  rows: Int32Array<ArrayBuffer>;
  /** 1 where a step of it is open, whatever its type */
  busy: Uint8Array<ArrayBuffer>;
}

export interface Activity {
  /** the range of time that the pixels divide, microseconds since the task's base */
  from: number;
  to: number;
  /** from the first start to the last end of all steps */
  whole: View;
  lanes: Lane[];
  /** at each pixel: steps open, the largest input of a model call (NaN: none), and sums since the task's start */
  open: Int32Array<ArrayBuffer>;
  context: Float64Array<ArrayBuffer>;
  tokens: Float64Array<ArrayBuffer>;
  /** nano-USD */
  cost: Float64Array<ArrayBuffer>;
  costKnown: boolean;
  /** a row for each pixel with such a mark; -1: none */
  errors: Int32Array<ArrayBuffer>;
  waits: Int32Array<ArrayBuffer>;
  retries: Int32Array<ArrayBuffer>;
}

export interface Range {
  /** null: all of it */
  view: View | null;
  /** pixels, at most 4,000 */
  width: number;
  /** the end of open steps */
  now: number;
}

const TYPE = Object.fromEntries(STEP_TYPES.map((type, index) => [type, index])) as Record<string, number>;
const STATUS = Object.fromEntries(STATUSES.map((status, index) => [status, index])) as Record<string, number>;
/** Steps that hold others: their own time is shown as that of their agent. */
const HOLDERS = new Set([TYPE.agent, TYPE.workflow, TYPE.span]);

export function activityOf(columns: Columns, { view, width, now }: Range): Activity {
  const n = Math.max(1, Math.min(4_000, Math.floor(width)));
  const whole = wholeOf(columns, now);
  const { from, to } = view ?? whole;
  const perUs = n / Math.max(1, to - from);
  const lanes = lanesOf(columns, n);
  const activity: Activity = {
    ...{ from, to, whole, lanes: lanes.list, costKnown: false },
    open: new Int32Array(n),
    context: new Float64Array(n).fill(Number.NaN),
    tokens: new Float64Array(n),
    cost: new Float64Array(n),
    errors: new Int32Array(n).fill(NONE),
    waits: new Int32Array(n).fill(NONE),
    retries: new Int32Array(n).fill(NONE),
  };
  const opened = new Int32Array(n + 1);
  const pixel = (time: number) => Math.floor((time - from) * perUs);
  const clamped = (time: number) => Math.min(n - 1, Math.max(0, pixel(time)));
  const failed = new Map<string, number>();
  for (const row of columns.preorder) {
    const start = columns.start[row] as number;
    if (Number.isNaN(start)) continue;
    const end = endOf(columns, row, now);
    addSums(activity, columns, row, end, pixel(end));
    const left = clamped(start);
    const right = clamped(end);
    const seen = end >= from && start <= to;
    const isError = columns.status[row] === STATUS.error && !columns.affected[row];
    if (seen) {
      opened[left] = (opened[left] as number) + 1;
      opened[right + 1] = (opened[right + 1] as number) - 1;
      paint(lanes.list[lanes.of[row] as number] as Lane, columns, row, left, right);
      if (columns.type[row] === TYPE.llm) addContext(activity, columns, row, left, right);
    }
    const inside = (time: number) => time >= from && time <= to;
    if (isError && inside(end)) activity.errors[right] = row;
    if (columns.status[row] === STATUS.waiting && seen) activity.waits[left] = row;
    if (isRetry(columns, row, failed) && inside(start)) activity.retries[left] = row;
  }
  let count = 0;
  for (let x = 0; x < n; x++) {
    count += opened[x] as number;
    activity.open[x] = count;
    if (x === 0) continue;
    activity.tokens[x] = (activity.tokens[x] as number) + (activity.tokens[x - 1] as number);
    activity.cost[x] = (activity.cost[x] as number) + (activity.cost[x - 1] as number);
  }
  return activity;
}

/** From the first start to the last end, 10 microseconds at least. */
function wholeOf(columns: Columns, now: number): View {
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  for (let row = 0; row < columns.size; row++) {
    const start = columns.start[row] as number;
    if (Number.isNaN(start)) continue;
    from = Math.min(from, start);
    to = Math.max(to, endOf(columns, row, now));
  }
  if (!Number.isFinite(from)) return { from: 0, to: 1_000_000 };
  return { from, to: Math.max(to, from + 10) };
}

/** Lanes in the order in which agents begin; what is too many shares the last one. */
function lanesOf(columns: Columns, width: number): { of: Int32Array; list: Lane[] } {
  const { of, names } = agentsOf(columns);
  const counts = new Int32Array(names.length);
  for (const place of of) counts[place] = (counts[place] as number) + 1;
  const kept = [...counts.keys()]
    .sort((a, b) => (counts[b] as number) - (counts[a] as number) || a - b)
    .slice(0, LANES_MAX);
  const shared = names.length > LANES_MAX ? kept.pop() : undefined;
  kept.sort((a, b) => a - b);
  const laneOf = new Int32Array(names.length).fill(kept.length);
  const list = kept.map((place, lane) => {
    laneOf[place] = lane;
    return newLane(names[place] || 'no agent', width);
  });
  if (shared !== undefined) list.push(newLane(`${names.length - kept.length} other agents`, width));
  const lanes = new Int32Array(columns.size);
  for (let row = 0; row < columns.size; row++) {
    const lane = laneOf[of[row] as number] as number;
    lanes[row] = lane;
    (list[lane] as Lane).steps++;
  }
  return { of: lanes, list };
}

function newLane(name: string, width: number): Lane {
  return { name, steps: 0, rows: new Int32Array(width).fill(NONE), busy: new Uint8Array(width) };
}

function paint(lane: Lane, columns: Columns, row: number, left: number, right: number): void {
  lane.busy.fill(1, left, right + 1);
  if (HOLDERS.has(columns.type[row])) return;
  const rank = rankOf(columns, row);
  for (let x = left; x <= right; x++) {
    const other = lane.rows[x] as number;
    if (other === NONE || rank >= rankOf(columns, other)) lane.rows[x] = row;
  }
}

/** Failed steps are seen first, then those that started last. */
function rankOf(columns: Columns, row: number): number {
  return (columns.status[row] === STATUS.error ? 1e15 : 0) + (columns.start[row] as number);
}

/** Usage counts at the end of the call; what ended before the visible range is in its first pixel. */
function addSums(activity: Activity, columns: Columns, row: number, end: number, x: number): void {
  if (!columns.counted[row] || end > activity.to) return;
  const at = Math.min(activity.tokens.length - 1, Math.max(0, x));
  const tokens = (columns.input[row] || 0) + (columns.output[row] || 0);
  activity.tokens[at] = (activity.tokens[at] as number) + tokens;
  const cost = columns.cost[row] as number;
  if (Number.isNaN(cost)) return;
  activity.costKnown = true;
  activity.cost[at] = (activity.cost[at] as number) + cost;
}

function addContext({ context }: Activity, columns: Columns, row: number, left: number, right: number): void {
  const size = columns.input[row] as number;
  if (Number.isNaN(size)) return;
  for (let x = left; x <= right; x++) if (!((context[x] as number) >= size)) context[x] = size;
}

/** The same name under the same parent, begun after one that failed: remembered in `failed`. */
function isRetry(columns: Columns, row: number, failed: Map<string, number>): boolean {
  if (HOLDERS.has(columns.type[row])) return false;
  const isError = columns.status[row] === STATUS.error;
  if (!isError && failed.size === 0) return false;
  const key = `${columns.above[row]} ${columns.type[row]} ${columns.name[row]}`;
  const again = failed.has(key);
  if (isError) failed.set(key, row);
  else failed.delete(key);
  return again;
}

function endOf(columns: Columns, row: number, now: number): number {
  const start = columns.start[row] as number;
  const status = columns.status[row];
  if (status === STATUS.running || status === STATUS.waiting) return Math.max(start, now);
  const length = columns.duration[row] as number;
  return Number.isNaN(length) ? start : start + length;
}
