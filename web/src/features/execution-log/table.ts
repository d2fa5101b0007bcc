/**
 * All steps of one task as columns: typed arrays, one string per id and no object per step, so that 100,000 steps are a few
 * megabytes and a live event is a few writes. Events go through the one fold (src/fold); only the storage is of its own.
 */
import {
  type Failure,
  type Skeleton,
  STATUSES,
  STEP_TYPES,
  type Step,
  type StepDocument,
  type StepEvent,
  type Usage,
} from '../../api/types';
import {
  type DocumentSummary,
  EMPTY_STEP,
  fold,
  isDocumentEvent,
  join,
  type PartialState,
  statusOf,
  stepIdsOf,
  usageOf,
} from '../../fold/fold';
import { stateOfRow } from '../../fold/row';
import { Dictionary } from './dictionary';
import { grown, Registers } from './registers';
import { RowIndex } from './row-index';

export const ROOT = -1;
export const PARENT_UNKNOWN = -2;
export const NONE = -1;

export const STATUS = Object.fromEntries(STATUSES.map((name, index) => [name, index])) as Record<
  (typeof STATUSES)[number],
  number
>;
const TYPE_SPAN = STEP_TYPES.indexOf('span');
/** Steps of which only progress has come: their documents are on the way. */
const EARLY_MAX = 10_000;
/** The types whose usage is summed (roll-up rule R1); the server refines it for steps that repeat a child's usage. */
const BILLABLE = new Set(['llm', 'embedding', 'rerank']);

export class StepTable {
  size = 0;
  /** counts every change; views redraw when it changed */
  version = 0;
  readonly baseUs: number;
  readonly ids: string[];
  readonly names = new Dictionary();
  readonly agents = new Dictionary();
  readonly models = new Dictionary();
  /** row index of the parent, ROOT or PARENT_UNKNOWN */
  parent = new Int32Array(0);
  type = new Uint8Array(0);
  status = new Uint8Array(0);
  name = new Int32Array(0);
  agent = new Int32Array(0);
  model = new Int32Array(0);
  /** microseconds since `baseUs`; NaN unknown */
  start = new Float64Array(0);
  duration = new Float64Array(0);
  input = new Float64Array(0);
  output = new Float64Array(0);
  /** nano-USD; NaN unknown */
  cost = new Float64Array(0);
  counted = new Uint8Array(0);
  seq = new Float64Array(0);
  /** how often a row changed: what a drawn row compares */
  rowVersion = new Uint32Array(0);
  /** the task's newest event when this was fetched: steps that were open then were alive at that moment as far as is known */
  fetchedLastEventUs = 0;
  /** rows by (start, seq, id) */
  chronological = new Int32Array(0);

  /** of failed steps, as far as it is known: a skeleton has no failures */
  readonly failures = new Map<number, Failure>();
  /** 1 for a failed step that repeats the failure of one below it */
  affected = new Uint8Array(0);

  private readonly registers = new Registers();
  index = new RowIndex();
  private readonly orphans = new Map<string, number[]>();
  /** states of steps of which no document has come, by step id */
  private readonly early = new Map<string, PartialState<DocumentSummary>>();
  private counts = new Int32Array(STATUSES.length);

  constructor(skeleton: Skeleton) {
    this.baseUs = skeleton.base_us;
    const { columns } = skeleton;
    const n = columns.step_id.length;
    this.reserve(n);
    this.size = n;
    const types = skeleton.types.map((word) => Math.max(0, typeIndex(word)));
    const statuses = skeleton.statuses.map((word) => STATUS[word as keyof typeof STATUS] ?? STATUS.ok);
    this.ids = columns.step_id.slice();
    this.parent.set(columns.parent);
    recode(this.type, columns.type, types, TYPE_SPAN);
    recode(this.status, columns.status, statuses, STATUS.ok);
    recode(
      this.name,
      columns.name,
      skeleton.names.map((word) => this.names.index(word)),
      NONE,
    );
    recode(
      this.agent,
      columns.agent,
      skeleton.agents.map((word) => this.agents.index(word)),
      NONE,
    );
    recode(
      this.model,
      columns.model,
      skeleton.models.map((word) => this.models.index(word)),
      NONE,
    );
    fill(this.start, columns.start);
    fill(this.duration, columns.duration);
    fill(this.input, columns.input_tokens);
    fill(this.output, columns.output_tokens);
    fill(this.cost, columns.cost_nusd);
    this.counted.set(columns.counted);
    this.seq.set(columns.seq);
    this.registers.load(columns.phase, columns.at, skeleton.base_us);
    for (let row = 0; row < n; row++) {
      this.chronological[row] = row;
      const status = this.status[row] as number;
      this.counts[status] = (this.counts[status] as number) + 1;
    }
    for (const [row, parentId] of Object.entries(skeleton.missing_parents ?? {})) this.addOrphan(parentId, Number(row));
  }

  /** The same rows, of which neither table changes the other's. Dictionaries only grow, and are shared. */
  copy(): StepTable {
    const copy: StepTable = Object.assign(Object.create(StepTable.prototype), this);
    for (const [name, value] of Object.entries(this)) {
      if (ArrayBuffer.isView(value)) Reflect.set(copy, name, (value as Int32Array).slice());
      else if (value instanceof Map) Reflect.set(copy, name, new Map(value));
    }
    return Object.assign(copy, {
      ids: this.ids.slice(),
      registers: this.registers.copy(),
      orphans: new Map([...this.orphans].map(([id, rows]) => [id, rows.slice()])),
    });
  }

  rowOf(stepId: string): number {
    return this.index.rowOf(stepId, this.ids);
  }

  /** How many steps have this status now. */
  countOf(status: keyof typeof STATUS): number {
    return this.counts[STATUS[status]] ?? 0;
  }

  ended(row: number): boolean {
    return this.registers.ended(row);
  }

  open(row: number): boolean {
    const status = this.status[row];
    return status === STATUS.running || status === STATUS.waiting;
  }

  /** When the last event of this step was received, microseconds UTC; its start when there was none since. */
  lastEventUsOf(row: number): number {
    const receivedUs = this.registers.lastEventUs(row);
    return this.registers.hasEvent(row) ? receivedUs : Math.max(receivedUs, this.fetchedLastEventUs);
  }

  /** Microseconds since `baseUs` at which the step was over; NaN while it is open or unknown. */
  endOf(row: number): number {
    return (this.start[row] as number) + (this.duration[row] as number);
  }

  /** Fold an event into the rows that it is about. Returns whether any row changed in a way that shows. */
  apply(event: StepEvent): boolean {
    let shows = false;
    for (const id of stepIdsOf(event)) if (this.applyTo(id, event)) shows = true;
    if (shows) this.version++;
    return shows;
  }

  private applyTo(id: string, event: StepEvent): boolean {
    let row = this.rowOf(id);
    const before = row === NONE ? (this.early.get(id) ?? EMPTY_STEP) : this.stateOf(row);
    const after = fold(before, event, id);
    if (after === before) return false;
    if (row === NONE) {
      if (!isDocumentEvent(event)) {
        this.keepEarly(id, after);
        return false;
      }
      this.early.delete(id);
      row = this.add(id);
    }
    this.registers.store(row, after);
    let shows = false;
    if (isDocumentEvent(event)) {
      this.write(row, event.step);
      shows = true;
    }
    shows = this.setStatus(row, STATUS[statusOf(after)]) || shows;
    shows = this.setUsage(row, usageOf(after)) || shows;
    if (shows) this.rowVersion[row] = (this.rowVersion[row] as number) + 1;
    return shows;
  }

  /** Join a row of REST, which has the complete registers and the failure. Only for steps that the table has. */
  joinStep(step: Step): void {
    const row = this.rowOf(step.step_id);
    if (row === NONE) return;
    if (step.status === 'error') this.failures.set(row, step.error ?? {});
    const before = this.stateOf(row);
    const after = join(before, stateOfRow(step));
    if (after !== before) {
      this.registers.store(row, after);
      this.setStatus(row, STATUS[statusOf(after)]);
      this.setUsage(row, usageOf(after));
      this.rowVersion[row] = (this.rowVersion[row] as number) + 1;
    }
    this.version++;
  }

  private keepEarly(id: string, state: PartialState<DocumentSummary>): void {
    if (this.early.size >= EARLY_MAX && !this.early.has(id)) {
      const [oldest] = this.early.keys();
      if (oldest !== undefined) this.early.delete(oldest);
    }
    this.early.set(id, state);
  }

  private stateOf(row: number): PartialState<DocumentSummary> {
    return this.registers.stateOf(row, () => {
      const input = known(this.input[row] as number);
      const output = known(this.output[row] as number);
      const usage = input === null && output === null ? null : { input, output };
      return { status: STATUSES[this.status[row] as number] ?? 'ok', usage };
    });
  }

  private write(row: number, step: StepDocument): void {
    this.type[row] = Math.max(0, typeIndex(step.type));
    this.name[row] = this.names.index(step.name);
    if (step.agent) this.agent[row] = this.agents.index(step.agent);
    // a step that names no agent keeps the one that was derived for it
    else if (this.agent[row] === NONE && step.service) this.agent[row] = this.agents.index(step.service);
    const model = step.model ?? step.model_requested;
    this.model[row] = model ? this.models.index(model) : NONE;
    const start = step.started_at_us == null ? Number.NaN : step.started_at_us - this.baseUs;
    const seq = step.seq ?? 0;
    if (!Object.is(start, this.start[row]) || seq !== this.seq[row]) {
      this.start[row] = start;
      this.seq[row] = seq;
      this.reorder(row);
    }
    this.duration[row] = durationOf(step);
    this.cost[row] = step.cost_nusd ?? Number.NaN;
    if (BILLABLE.has(step.type)) this.counted[row] = 1;
    if (step.status === 'error') this.failures.set(row, step.error ?? {});
    else this.failures.delete(row);
    this.attach(row, step.parent_step_id ?? null);
  }

  private setStatus(row: number, status: number): boolean {
    const before = this.status[row] as number;
    if (before === status) return false;
    this.counts[before] = (this.counts[before] as number) - 1;
    this.counts[status] = (this.counts[status] as number) + 1;
    this.status[row] = status;
    return true;
  }

  private setUsage(row: number, usage: Usage | null): boolean {
    const input = usage?.input ?? Number.NaN;
    const output = usage?.output ?? Number.NaN;
    if (Object.is(input, this.input[row]) && Object.is(output, this.output[row])) return false;
    this.input[row] = input;
    this.output[row] = output;
    return true;
  }

  private attach(row: number, parentId: string | null): void {
    let parent = ROOT;
    if (parentId !== null) {
      parent = this.rowOf(parentId);
      if (parent === row) parent = ROOT;
      else if (parent === NONE) {
        parent = PARENT_UNKNOWN;
        this.addOrphan(parentId, row);
      }
    }
    this.parent[row] = parent;
  }

  private addOrphan(parentId: string, row: number): void {
    const waiting = this.orphans.get(parentId);
    if (waiting) waiting.push(row);
    else this.orphans.set(parentId, [row]);
  }

  private add(id: string): number {
    if (this.size === this.parent.length) this.reserve(Math.max(1_024, this.size * 2));
    const row = this.size++;
    this.index = this.index.with(id, row);
    this.ids.push(id);
    this.parent[row] = ROOT;
    this.type[row] = TYPE_SPAN;
    this.status[row] = STATUS.running;
    this.counts[STATUS.running] = (this.counts[STATUS.running] as number) + 1;
    this.name[row] = NONE;
    this.agent[row] = NONE;
    this.model[row] = NONE;
    for (const column of [this.start, this.duration, this.input, this.output, this.cost]) {
      column[row] = Number.NaN;
    }
    this.chronological[row] = row;
    for (const child of this.orphans.get(id) ?? []) if (child !== row) this.parent[child] = row;
    this.orphans.delete(id);
    return row;
  }

  /** Move a row to its place in time. New rows are late, so the scan from the end is short. */
  private reorder(row: number): void {
    const order = this.chronological;
    let at = this.size - 1;
    while (at >= 0 && order[at] !== row) at--;
    let to = at;
    while (to > 0 && this.compare(order[to - 1] as number, row) > 0) to--;
    while (to < this.size - 1 && this.compare(order[to + 1] as number, row) < 0) to++;
    if (to < at) order.copyWithin(to + 1, to, at);
    else if (to > at) order.copyWithin(at, at + 1, to + 1);
    order[to] = row;
  }

  private compare(a: number, b: number): number {
    const left = this.start[a] as number;
    const right = this.start[b] as number;
    // an unknown start comes last, as in the service's order
    if (left !== right && !(Number.isNaN(left) && Number.isNaN(right))) {
      return Number.isNaN(left) ? 1 : Number.isNaN(right) ? -1 : left - right;
    }
    const seq = (this.seq[a] as number) - (this.seq[b] as number);
    if (seq !== 0) return seq;
    return (this.ids[a] as string) < (this.ids[b] as string) ? -1 : 1;
  }

  private reserve(capacity: number): void {
    const int = (old: Int32Array<ArrayBuffer>) => grown(new Int32Array(capacity), old);
    const byte = (old: Uint8Array<ArrayBuffer>) => grown(new Uint8Array(capacity), old);
    const real = (old: Float64Array<ArrayBuffer>) => grown(new Float64Array(capacity), old);
    this.parent = int(this.parent);
    this.name = int(this.name);
    this.agent = int(this.agent);
    this.model = int(this.model);
    this.chronological = int(this.chronological);
    this.type = byte(this.type);
    this.status = byte(this.status);
    this.counted = byte(this.counted);
    this.affected = byte(this.affected);
    this.start = real(this.start);
    this.duration = real(this.duration);
    this.input = real(this.input);
    this.output = real(this.output);
    this.cost = real(this.cost);
    this.seq = real(this.seq);
    this.registers.reserve(capacity);
    this.rowVersion = grown(new Uint32Array(capacity), this.rowVersion);
  }
}

/** A skeleton's dictionary codes as codes of this table. One loop a column: a tenth of the time of a loop over rows. */
function recode(into: Uint8Array | Int32Array, codes: number[], ours: number[], otherwise: number): void {
  for (let row = 0; row < codes.length; row++) into[row] = ours[codes[row] as number] ?? otherwise;
}

/** Numbers, NaN where not known. */
function fill(into: Float64Array, values: (number | null)[]): void {
  for (let row = 0; row < values.length; row++) into[row] = values[row] ?? Number.NaN;
}

/** A number of a column; null where not known. */
function known(value: number): number | null {
  return Number.isNaN(value) ? null : value;
}

function typeIndex(word: string): number {
  const index = (STEP_TYPES as readonly string[]).indexOf(word);
  // a type of a newer platform is shown as a plain span
  return index < 0 ? TYPE_SPAN : index;
}

function durationOf(step: StepDocument): number {
  if (step.duration_us != null) return step.duration_us;
  if (step.started_at_us != null && step.ended_at_us != null) return step.ended_at_us - step.started_at_us;
  return Number.NaN;
}
