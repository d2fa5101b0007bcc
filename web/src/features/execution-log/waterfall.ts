/** Bars in time: their position, the self time of a step, and the visible range of the task. */
import type { StepTable } from './table';
import type { Tree } from './tree';

/** Microseconds since the task's `base_us`. */
export interface View {
  from: number;
  to: number;
}

/** A range that the user chose; the full range; or null: what fits the visible rows. */
export type Zoom = View | 'all' | null;

/** Rows as a tree, or in order of time. */
export type Mode = 'tree' | 'log';

const NONE = -1;
const SEGMENTS_MAX = 24;
const CHILDREN_MAX = 20_000;

/** First start and last end of all steps; open ones reach to `now`. */
export function extent(table: StepTable, now: number): View {
  let from = Number.POSITIVE_INFINITY;
  let to = Number.NEGATIVE_INFINITY;
  for (let row = 0; row < table.size; row++) {
    const start = table.start[row] as number;
    if (Number.isNaN(start)) continue;
    if (start < from) from = start;
    const end = table.open(row) ? now : table.endOf(row);
    const last = Number.isNaN(end) ? start : end;
    if (last > to) to = last;
  }
  if (!Number.isFinite(from)) return { from: 0, to: 1_000_000 };
  return { from, to: Math.max(to, from + 10) };
}

/**
 * The range that the visible rows need. Steps with children reach far beyond them, so they count only where no other row
 * is visible. The right edge stays at now while one of the rows is open.
 */
export function fitRows(table: StepTable, tree: Tree, rows: Int32Array, whole: View): View {
  for (const leaves of [true, false]) {
    let from = Number.POSITIVE_INFINITY;
    let to = Number.NEGATIVE_INFINITY;
    for (const row of rows) {
      if (leaves && (tree.children[row] as number) > 0) continue;
      const start = table.start[row] as number;
      if (Number.isNaN(start)) continue;
      const end = table.open(row) ? whole.to : table.endOf(row);
      from = Math.min(from, start);
      to = Math.max(to, Number.isNaN(end) ? start : end);
    }
    if (!Number.isFinite(from)) continue;
    const pad = Math.max((to - from) * 0.04, 20);
    return { from: Math.max(whole.from, from - pad), to: Math.min(whole.to, to + pad) };
  }
  return whole;
}

/** The right edge while steps run: ahead of now, in jumps, so that bars do not creep. */
export function roomAhead(view: View, now: number): View {
  const span = Math.max(1_000_000, now - view.from);
  // powers of the cube root of two: a jump each quarter of growth
  const room = 2 ** (Math.ceil(Math.log2(span * 1.06) * 3) / 3);
  return { from: view.from, to: view.from + room };
}

/**
 * The children's time within a step as a CSS gradient: self time in the full colour, time spent in children lighter.
 * Null when all of it is self time. Children are in order of start, so one pass merges them.
 */
export function selfTimeGradient(table: StepTable, tree: Tree, row: number): string | null {
  const start = table.start[row] as number;
  const length = table.duration[row] as number;
  if (Number.isNaN(start) || Number.isNaN(length) || length <= 0) return null;
  const edges: number[] = [];
  const nearest = length / 240;
  let child = tree.firstChild[row] ?? NONE;
  for (let seen = 0; child !== NONE && seen < CHILDREN_MAX; seen++, child = tree.nextSibling[child] ?? NONE) {
    const from = (table.start[child] as number) - start;
    const span = table.duration[child] as number;
    if (Number.isNaN(from) || Number.isNaN(span)) continue;
    const left = Math.max(0, from);
    const right = Math.min(length, from + span);
    if (right <= left) continue;
    const last = edges.at(-1);
    if (last !== undefined && left - last < nearest) edges[edges.length - 1] = Math.max(last, right);
    else if (edges.length < SEGMENTS_MAX * 2) edges.push(left, right);
    else edges[edges.length - 1] = Math.max(last ?? 0, right);
  }
  if (edges.length === 0) return null;
  const stops: string[] = [];
  let at = 0;
  for (let i = 0; i < edges.length; i += 2) {
    const left = percent((edges[i] as number) / length);
    const right = percent((edges[i + 1] as number) / length);
    stops.push(`var(--c) ${percent(at / length)} ${left}`, `var(--c-soft) ${left} ${right}`);
    at = edges[i + 1] as number;
  }
  stops.push(`var(--c) ${percent(at / length)} 100%`);
  return `linear-gradient(to right, ${stops.join(', ')})`;
}

/** What of a step's duration is not covered by its children, microseconds; NaN when unknown. */
export function selfTimeUs(table: StepTable, tree: Tree, row: number): number {
  const start = table.start[row] as number;
  const length = table.duration[row] as number;
  if (Number.isNaN(start) || Number.isNaN(length)) return Number.NaN;
  let covered = 0;
  let reach = 0;
  for (let child = tree.firstChild[row] ?? NONE; child !== NONE; child = tree.nextSibling[child] ?? NONE) {
    const left = Math.max(reach, (table.start[child] as number) - start);
    const right = Math.min(length, table.endOf(child) - start);
    if (!(right > left)) continue;
    covered += right - left;
    reach = right;
  }
  return Math.max(0, length - covered);
}

function percent(share: number): string {
  return `${Math.round(share * 10_000) / 100}%`;
}

/** Whether a step continues beyond the range that is shown: at its left, at its right. An open step reaches to now, where its bar fades. */
export function beyond(table: StepTable, row: number, { from, to }: View): { left: boolean; right: boolean } {
  const start = table.start[row] as number;
  if (Number.isNaN(start)) return { left: false, right: false };
  const length = table.duration[row] as number;
  const end = Number.isNaN(length) ? start : start + length;
  const edge = (to - from) / 1_000;
  return { left: start < from - edge, right: start > to || (!table.open(row) && end > to + edge) };
}
