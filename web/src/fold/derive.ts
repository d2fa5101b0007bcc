/**
 * The twin of `ams_contracts.derive`: what a step or a task shows because of other steps. It depends on the set of steps alone, is linear
 * in its size and uses no recursion. Both pass `contracts/vectors/derive/*.json`.
 */
import type { Failure, Status, StepType } from '../api/types';
import { PHASE_ENDED, type TaskState } from './fold';

/** So many different failures below a step are compared with its own: those that ended last. */
export const COMPARED_MAX = 32;
/** A shorter message is in many sentences by chance. */
export const CONTAINED_CHARS_MIN = 4;

const TRACEBACK = 'Traceback (most recent call last)';
const BLANKS = /^[\t-\r ]+|[\t-\r ]+$/g;

/** What deriving needs of a step; absent means null or false. `agent` is the one that the step names itself. */
export interface DeriveStep {
  readonly step_id: string;
  readonly parent_step_id?: string | null;
  readonly type: StepType;
  /** the one to show */
  readonly status: Status;
  readonly agent?: string | null;
  readonly service?: string | null;
  readonly started_at_us?: number | null;
  readonly ended_at_us?: number | null;
  readonly duration_us?: number | null;
  readonly seq?: number;
  readonly error?: Failure | null;
  /** whether it has a preview of its input, and of its output */
  readonly asks?: boolean;
  readonly answers?: boolean;
  /** its document has a flag of `WRONG_CLOCK_FLAGS`: its end is not the task's */
  readonly wrong_clock?: boolean;
}

export const WRONG_CLOCK_FLAGS: ReadonlySet<string> = new Set(['odd_time', 'clock_skew', 'clock_ahead']);

export type DerivedFlag = 'cycle' | 'skewed';

export interface DerivedStep {
  /** the agent that it names, else that of the nearest ancestor that names one, else its service */
  readonly agent: string | null;
  /** it failed, and repeats the failure of a step below it: the task does not count it */
  readonly affected: boolean;
  readonly flags: readonly DerivedFlag[];
}

export interface DerivedTask {
  /** the earliest parentless step */
  readonly root_step_id: string | null;
  readonly agent: string | null;
  /** failed steps without the affected ones */
  readonly errors: number;
  readonly error: Failure | null;
  /** the step whose input preview says what was asked; the task's own preview comes first */
  readonly asked_step_id: string | null;
  /** the step whose output preview is the answer */
  readonly answer_step_id: string | null;
  readonly ended_at_us: number | null;
  readonly duration_us: number | null;
}

export interface Derived {
  readonly steps: ReadonlyMap<string, DerivedStep>;
  readonly task: DerivedTask;
}

const OPEN: ReadonlySet<Status> = new Set(['running', 'waiting', 'lost']);

/** Everything at once. Each step comes once, in any order; parents may be missing, and cycles may be there. */
export function derive(steps: Iterable<DeriveStep>, task: TaskState | null = null): Derived {
  const byId = new Map<string, DeriveStep>();
  for (const step of steps) byId.set(step.step_id, step);
  const cycle = findCycles(byId);
  const parentOf = (step: DeriveStep): DeriveStep | null =>
    step.parent_step_id == null || cycle.has(step.step_id) ? null : (byId.get(step.parent_step_id) ?? null);
  const ordered = parentsFirst(byId, parentOf);
  const failed = ordered.filter((step) => step.status === 'error');
  const affected = findAffected(failed, parentOf);

  const agents = new Map<string, string | null>();
  const derived = new Map<string, DerivedStep>();
  let root: DeriveStep | null = null;
  let outermost: DeriveStep | null = null;
  let asked: DeriveStep | null = null;
  let answer: DeriveStep | null = null;
  let lastEnd: number | null = null;
  for (const step of ordered) {
    const parent = parentOf(step);
    const above = parent ? (agents.get(parent.step_id) ?? null) : null;
    const agent = step.agent ?? above;
    agents.set(step.step_id, agent);
    const flags: DerivedFlag[] = [];
    if (cycle.has(step.step_id)) flags.push('cycle');
    if (parent && isSkewed(step, parent)) flags.push('skewed');
    derived.set(step.step_id, { agent: agent ?? step.service ?? null, affected: affected.has(step.step_id), flags });

    const parentless = step.parent_step_id == null;
    if (parentless && (!root || compareStarts(step, root) < 0)) root = step;
    if (step.agent != null && above === null && (!outermost || compareStarts(step, outermost) < 0)) outermost = step;
    if (parentless || step.type === 'llm') {
      if (step.asks && (!asked || compareAsked(step, asked) < 0)) asked = step;
      if (step.answers && (!answer || compareAnswers(step, answer) < 0)) answer = step;
    }
    if (step.ended_at_us != null && !step.wrong_clock)
      lastEnd = Math.max(lastEnd ?? step.ended_at_us, step.ended_at_us);
  }

  const [ended_at_us, duration_us] = endOf(root, task, lastEnd);
  return {
    steps: derived,
    task: {
      root_step_id: root?.step_id ?? null,
      agent: task?.document?.agent ?? outermost?.agent ?? root?.service ?? null,
      errors: failed.length - affected.size,
      error: errorOf(root, task, failed),
      asked_step_id: asked?.step_id ?? null,
      answer_step_id: answer?.step_id ?? null,
      ended_at_us,
      duration_us,
    },
  };
}

/** Whether a step's failure is that of a step below it: see `ams_contracts.derive_errors.repeats`. */
export function repeats(failure: Failure, below: Failure): boolean {
  const message = withoutTraceback(failure.message);
  if (!message) return failure.type == null || failure.type === (below.type ?? null);
  const words = wordsOf(below);
  if (words === message || words === wordsOf(failure)) return words !== '';
  // counted in code points, as Python does
  return [...words.slice(0, 2 * CONTAINED_CHARS_MIN)].length >= CONTAINED_CHARS_MIN && message.includes(words);
}

/** What a failure says, without the forms in which programs wrap it. */
function wordsOf(failure: Failure): string {
  const type = failure.type ?? '';
  const name = type.slice(type.lastIndexOf('.') + 1);
  const words = withoutTraceback(failure.message);
  if (!words) return name;
  if (name && words.startsWith(`${name}: `)) return trimmed(words.slice(name.length + 2));
  if (name && words.startsWith(`${name}(`) && words.endsWith(')'))
    return words.slice(name.length + 1, -1).replace(/^['"]+|['"]+$/g, '');
  return words;
}

function withoutTraceback(message: string | null | undefined): string {
  return trimmed((message ?? '').split(TRACEBACK, 1)[0] ?? '');
}

/** Without the blanks at both ends that Python takes for such. */
function trimmed(text: string): string {
  return text.replace(BLANKS, '');
}

/** The steps that are their own ancestors. */
function findCycles(steps: ReadonlyMap<string, DeriveStep>): Set<string> {
  const cycle = new Set<string>();
  const seen = new Map<string, string>(); // by step the one from which it was reached first
  for (const start of steps.values()) {
    let step: DeriveStep | undefined = start;
    while (step && !seen.has(step.step_id)) {
      seen.set(step.step_id, start.step_id);
      step = step.parent_step_id == null ? undefined : steps.get(step.parent_step_id);
    }
    if (!step || seen.get(step.step_id) !== start.step_id) continue;
    while (step && !cycle.has(step.step_id)) {
      cycle.add(step.step_id);
      step = steps.get(step.parent_step_id ?? '');
    }
  }
  return cycle;
}

function parentsFirst(
  steps: ReadonlyMap<string, DeriveStep>,
  parentOf: (step: DeriveStep) => DeriveStep | null,
): DeriveStep[] {
  const children = new Map<string, DeriveStep[]>();
  const ordered: DeriveStep[] = [];
  for (const step of steps.values()) {
    const parent = parentOf(step);
    if (!parent) ordered.push(step);
    else if (children.get(parent.step_id)?.push(step) === undefined) children.set(parent.step_id, [step]);
  }
  for (const step of ordered) {
    // grows while it is read
    for (const child of children.get(step.step_id) ?? []) ordered.push(child);
  }
  return ordered;
}

/** The failed steps that repeat the failure of a step below them, whatever is between the two. */
function findAffected(failed: readonly DeriveStep[], parentOf: (step: DeriveStep) => DeriveStep | null): Set<string> {
  const affected = new Set<string>();
  if (failed.length < 2) return affected;
  const above = nearestFailedAbove(failed, parentOf);
  const waiting = new Map<string, number>();
  for (const parent of above.values()) if (parent) waiting.set(parent.step_id, (waiting.get(parent.step_id) ?? 0) + 1);
  const below = new Map<string, DeriveStep[]>();
  const ready = failed.filter((step) => !waiting.has(step.step_id));
  for (const step of ready) {
    // grows while it is read: a step follows all failed ones below it
    const failures = lastOfEach(below.get(step.step_id) ?? []);
    below.delete(step.step_id);
    if (failures.some((other) => repeats(step.error ?? {}, other.error ?? {}))) affected.add(step.step_id);
    const parent = above.get(step.step_id);
    if (!parent) continue;
    const known = below.get(parent.step_id) ?? [];
    for (const other of failures) known.push(other);
    known.push(step);
    below.set(parent.step_id, known.length > 2 * COMPARED_MAX ? lastOfEach(known) : known);
    const left = (waiting.get(parent.step_id) ?? 0) - 1;
    waiting.set(parent.step_id, left);
    if (left === 0) ready.push(parent);
  }
  return affected;
}

function nearestFailedAbove(
  failed: readonly DeriveStep[],
  parentOf: (step: DeriveStep) => DeriveStep | null,
): Map<string, DeriveStep | null> {
  const nearest = new Map<string, DeriveStep | null>();
  const known = new Map<string, DeriveStep | null>(); // of every step that was passed, so that each is passed once
  for (const start of failed) {
    const passed: DeriveStep[] = [];
    let step = parentOf(start);
    while (step && step.status !== 'error' && !known.has(step.step_id)) {
      passed.push(step);
      step = parentOf(step);
    }
    const found = step && step.status !== 'error' ? (known.get(step.step_id) ?? null) : step;
    for (const other of passed) known.set(other.step_id, found);
    nearest.set(start.step_id, found);
  }
  return nearest;
}

/** Of the failures that say the same the last one, and of these the last `COMPARED_MAX`. */
function lastOfEach(failures: DeriveStep[]): DeriveStep[] {
  const bySaying = new Map<string, DeriveStep>();
  for (const step of failures.sort(compareFailures))
    bySaying.set(JSON.stringify([step.error?.type ?? null, step.error?.message ?? null]), step);
  return [...bySaying.values()].sort(compareFailures).slice(-COMPARED_MAX);
}

function failedAt(step: DeriveStep): number {
  return step.ended_at_us || step.started_at_us || 0;
}

function compareFailures(a: DeriveStep, b: DeriveStep): number {
  return failedAt(a) - failedAt(b) || compareText(a.step_id, b.step_id);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The order of steps in time; one without a start comes last. */
function compareStarts(a: DeriveStep, b: DeriveStep): number {
  return (
    Number(a.started_at_us == null) - Number(b.started_at_us == null) ||
    (a.started_at_us ?? 0) - (b.started_at_us ?? 0) ||
    (a.seq ?? 0) - (b.seq ?? 0) ||
    compareText(a.step_id, b.step_id)
  );
}

/** Parentless steps first. */
function compareLevels(a: DeriveStep, b: DeriveStep): number {
  return Number(a.parent_step_id != null) - Number(b.parent_step_id != null);
}

function compareAsked(a: DeriveStep, b: DeriveStep): number {
  return compareLevels(a, b) || compareStarts(a, b);
}

/** The one that ended last comes first, and one that is open last. */
function compareAnswers(a: DeriveStep, b: DeriveStep): number {
  return (
    compareLevels(a, b) ||
    (a.ended_at_us == null ? 1 : -a.ended_at_us) - (b.ended_at_us == null ? 1 : -b.ended_at_us) ||
    (a.seq ?? 0) - (b.seq ?? 0) ||
    compareText(a.step_id, b.step_id)
  );
}

function isSkewed(step: DeriveStep, parent: DeriveStep): boolean {
  if (parent.started_at_us == null || parent.ended_at_us == null || step.started_at_us == null) return false;
  return parent.started_at_us - step.started_at_us > Math.max(0, parent.ended_at_us - parent.started_at_us);
}

function errorOf(root: DeriveStep | null, task: TaskState | null, failed: readonly DeriveStep[]): Failure | null {
  const own = task?.document ?? root;
  if (!own) return null;
  if (own.error?.type || own.error?.message || own.status !== 'error') return own.error ?? null;
  const last = failed
    .filter((step) => step.error?.type || step.error?.message)
    .sort(compareFailures)
    .at(-1);
  return last?.error ?? null;
}

function endOf(
  root: DeriveStep | null,
  task: TaskState | null,
  lastEnd: number | null,
): [number | null, number | null] {
  const own = task?.document ?? root;
  if (!own) return [null, null];
  const ended = task?.stamp != null && task.stamp[0] === PHASE_ENDED;
  if (!ended && OPEN.has(own.status)) return [null, null];
  const end = own.ended_at_us ?? null;
  if (lastEnd === null || (end !== null && end >= lastEnd)) return [end, own.duration_us ?? null];
  const start = own.started_at_us ?? null;
  return [lastEnd, start !== null && lastEnd >= start ? lastEnd - start : null];
}
