/**
 * A task as it was at a position of the log: the same fold as the live task, over the records up to there. A step forward folds one
 * more record, a step back folds from the beginning.
 */
import type { LiveClient } from '../../api/live';
import { type ApiError, asApiError } from '../../api/problems';
import type { Skeleton, Status, Task } from '../../api/types';
import { type DerivedTask, type DeriveStep, derive, WRONG_CLOCK_FLAGS } from '../../fold/derive';
import { EMPTY_TASK, type StepState, statusOf, type TaskState } from '../../fold/fold';
import { holdClock } from '../../ui/clock';
import { LiveTask } from '../execution-log/live-task';
import { Streams } from '../execution-log/streams';
import { NONE, StepTable } from '../execution-log/table';
import { offsetOf, readTaskLog, type TaskRecord } from './task-log';

/** While the task runs, records that were added since are read this often. */
const MORE_MS = 2_000;
/** A task of more events is drawn as often as a live one, and what is derived from all steps follows when the reader rests. */
const AT_ONCE_EVENTS = 2_000;
const REST_MS = 250;
/** A step back begins at the last checkpoint before it: they are so many events apart, and twice as many when there are too many of them. */
const CHECKPOINT_EVENTS = 10_000;
const CHECKPOINTS_MAX = 8;
/** The next steps back begin so many records before the last one. */
const NEAR_RECORDS = 100;
const OPEN: ReadonlySet<Status> = new Set(['running', 'waiting', 'lost']);

/** All that was folded, after so many records. */
interface Checkpoint {
  index: number;
  table: StepTable;
  states: Map<string, StepState>;
  streams: Streams;
  folded: TaskState;
  events: number;
  lastEventUs: number;
}

export class PastTask extends LiveTask {
  override readonly isPast = true;
  protected override readonly documentsMax = Number.POSITIVE_INFINITY;
  readonly records: TaskRecord[] = [];
  /** how many of them are folded */
  index = 0;
  /** the log was read to its end, as it was then */
  complete = false;
  logError: ApiError | null = null;

  private readonly abort = new AbortController();
  private moreTimer: ReturnType<typeof setTimeout> | null = null;
  private readTo: string | null = null;
  /** where the person wants to be, while the log is still read */
  private wanted: number | null;
  private checkpoints: Checkpoint[] = [];
  private checkpointEvents = CHECKPOINT_EVENTS;
  private near: Checkpoint | null = null;
  /** what follows from all steps, and the number of records that it is of */
  private derived: ReturnType<typeof derive> | null = null;
  private derivedIndex = 0;
  private restTimer: ReturnType<typeof setTimeout> | null = null;
  /** the row of the present by row of the past, which has the same rows at every position */
  private presentRows: number[] = [];
  private presentTable: StepTable | null = null;

  constructor(
    private readonly project: string,
    private readonly id: string,
    client: LiveClient,
    private readonly present: LiveTask,
    position: string,
  ) {
    super(project, id, client);
    this.wanted = offsetOf(position);
  }

  override start(): void {
    this.stopped = false;
    void this.read();
  }

  override stop(): void {
    super.stop();
    holdClock(null);
    this.abort.abort();
    if (this.moreTimer) clearTimeout(this.moreTimer);
    if (this.restTimer) clearTimeout(this.restTimer);
  }

  /** The position after the record that was folded last; null before the first one. */
  get position(): string | null {
    return this.records[this.index - 1]?.position ?? null;
  }

  /** Go to a number of records from the beginning. */
  seek(index: number): void {
    this.wanted = null;
    this.goTo(index);
  }

  private goTo(index: number): void {
    const to = Math.min(Math.max(1, index), this.records.length);
    const isBack = this.table === null || to < this.index;
    if (isBack) this.restore(to);
    for (; this.index < to; this.index++) {
      this.keepCheckpoint(isBack && this.index === to - NEAR_RECORDS);
      for (const event of this.records[this.index]?.batch.events ?? []) this.apply(event);
    }
    // open steps last until the position, not until today
    const last = this.records[this.index - 1];
    if (last) holdClock(Math.max(last.at_ms * 1_000, this.lastEventUs));
    // at once: the tree of another table must never be drawn with this one
    if (isBack || this.events <= AT_ONCE_EVENTS) this.notify();
    else this.changed();
  }

  private async read(): Promise<void> {
    try {
      this.readTo = await readTaskLog(this.project, this.id, this.readTo, this.abort.signal, (found) =>
        this.add(found),
      );
      this.complete = true;
      if (this.wanted !== null) this.goTo(this.records.length);
      this.wanted = null;
      const { task } = this.present;
      if (task && OPEN.has(task.status)) this.moreTimer = setTimeout(() => void this.read(), MORE_MS);
    } catch (thrown) {
      if (this.stopped) return;
      this.logError = asApiError(thrown);
    }
    this.changed();
  }

  private add(found: TaskRecord[]): void {
    this.records.push(...found);
    if (this.wanted === null) {
      this.changed();
      return;
    }
    const after = this.records.findIndex((record) => record.offset > (this.wanted as number));
    if (after < 0) {
      // "now" is the last record: it moves on until the log was read to its end
      if (!Number.isFinite(this.wanted)) this.goTo(this.records.length);
      return;
    }
    this.goTo(after);
    this.wanted = null;
  }

  /** Go back to the last checkpoint that is not after a number of records, or to the beginning. */
  private restore(to: number): void {
    let last: Checkpoint | null = null;
    for (const one of [...this.checkpoints, this.near])
      if (one !== null && one.index <= to && one.index > (last?.index ?? 0)) last = one;
    if (last === null) {
      this.reset();
      return;
    }
    this.index = last.index;
    this.states = new Map(last.states);
    this.streams = last.streams.copy();
    this.folded = last.folded;
    this.events = last.events;
    this.lastEventUs = last.lastEventUs;
    this.table = last.table.copy();
  }

  private keepCheckpoint(isNear: boolean): void {
    const before = this.checkpoints.at(-1)?.events ?? 0;
    const isDue = this.events - before >= this.checkpointEvents;
    if (!isDue && !(isNear && this.events > AT_ONCE_EVENTS)) return;
    const { index, table, folded, events, lastEventUs } = this;
    if (table === null) return;
    const states = new Map(this.states);
    const checkpoint = {
      index,
      table: table.copy(),
      states,
      streams: this.streams.copy(),
      folded,
      events,
      lastEventUs,
    };
    if (!isDue) {
      this.near = checkpoint;
      return;
    }
    this.checkpoints.push(checkpoint);
    if (this.checkpoints.length <= CHECKPOINTS_MAX) return;
    this.checkpointEvents *= 2;
    this.checkpoints = this.checkpoints.filter((_, place) => place % 2 === 1);
  }

  private reset(): void {
    this.index = 0;
    this.states.clear();
    this.streams = new Streams();
    this.folded = EMPTY_TASK;
    this.events = 0;
    this.lastEventUs = 0;
    this.phase = 'ready';
    this.table = emptyTable(this.id, this.present.table?.baseUs ?? 0);
  }

  protected override prepare(): void {
    if (this.table === null || this.present.task === null) return;
    if (this.derived === null || this.events <= AT_ONCE_EVENTS) this.derive();
    else if (this.derivedIndex !== this.index) this.deriveSoon();
    this.sumUp(this.table, this.present.task);
  }

  private deriveSoon(): void {
    if (this.restTimer) clearTimeout(this.restTimer);
    this.restTimer = setTimeout(() => {
      this.derive();
      this.changed();
    }, REST_MS);
  }

  /** What follows from all steps: agents, errors, end. */
  private derive(): void {
    const { table } = this;
    if (table === null) return;
    const steps = [...this.states].filter(([, state]) => state.document !== null);
    this.derived = derive(
      steps.map(([id, state]) => derivable(id, state)),
      this.folded,
    );
    this.derivedIndex = this.index;
    for (let row = 0; row < table.size; row++) {
      const agent = this.derived.steps.get(table.ids[row] as string)?.agent ?? null;
      table.agent[row] = agent === null ? NONE : table.agents.index(agent);
    }
  }

  /** The task with its totals. Repeated usage is recognised as it is known now. */
  private sumUp(table: StepTable, present: Task): void {
    if (this.derived === null) return;
    this.findPresentRows(table);
    let input = 0;
    let output = 0;
    let nano = 0;
    let priced = 0;
    for (let row = 0; row < table.size; row++) {
      const known = this.presentRows[row] as number;
      if (known !== NONE) table.counted[row] = this.presentTable?.counted[known] ?? 0;
      if (table.counted[row] !== 1) continue;
      input += table.input[row] || 0;
      output += table.output[row] || 0;
      const cost = table.cost[row] as number;
      if (!Number.isNaN(cost)) {
        nano += cost;
        priced++;
      }
    }
    const { task: derived } = this.derived;
    this.task = {
      ...present,
      ...this.described(derived),
      steps: table.size,
      errors: derived.errors,
      running_steps: table.countOf('running'),
      waiting_steps: table.countOf('waiting'),
      lost_steps: table.countOf('lost'),
      input_tokens: input,
      output_tokens: output,
      cost_usd: priced === 0 ? null : (nano / 1e9).toFixed(9).replace(/\.?0+$/, ''),
      // an open call may still report its tokens
      unmetered_calls: this.index === this.records.length ? present.unmetered_calls : 0,
      last_event_at_us: this.lastEventUs,
    };
  }

  private findPresentRows(table: StepTable): void {
    const { table: presentTable } = this.present;
    if (presentTable !== this.presentTable) this.presentRows = [];
    this.presentTable = presentTable;
    for (let row = 0; row < table.size; row++) {
      // one that the present did not have yet may have come since
      const known = this.presentRows[row] ?? NONE;
      if (known === NONE) this.presentRows[row] = presentTable?.rowOf(table.ids[row] as string) ?? NONE;
    }
  }

  private described(derived: DerivedTask): Partial<Task> {
    const { document, stamp } = this.folded;
    const root = derived.root_step_id === null ? null : (this.states.get(derived.root_step_id) ?? null);
    const shown = document ?? root?.document ?? null;
    const over = document ? stamp?.[0] === 2 || !OPEN.has(document.status) : root !== null && !OPEN.has(statusOf(root));
    const previewOf = (id: string | null, side: 'preview_input' | 'preview_output') =>
      (id === null ? null : this.states.get(id)?.document?.[side]) ?? null;
    return {
      name: shown?.name ?? '',
      started_at_us: shown?.started_at_us ?? null,
      status: over ? (document?.status ?? (root ? statusOf(root) : 'running')) : this.openStatus(),
      agent: derived.agent,
      ended_at_us: derived.ended_at_us,
      duration_us: derived.duration_us,
      error: derived.error,
      preview: document?.preview ?? previewOf(derived.asked_step_id, 'preview_input'),
      preview_output: previewOf(derived.answer_step_id, 'preview_output'),
    };
  }

  /** An open task follows its open steps: waiting before running before lost. */
  private openStatus(): Status {
    const { table } = this;
    if (!table || table.countOf('waiting') > 0) return 'waiting';
    return table.countOf('running') > 0 || table.countOf('lost') === 0 ? 'running' : 'lost';
  }
}

/** What deriving needs of a step, from its state. */
function derivable(id: string, state: StepState): DeriveStep {
  const document = state.document as NonNullable<StepState['document']>;
  return {
    step_id: id,
    parent_step_id: document.parent_step_id ?? null,
    type: document.type,
    status: statusOf(state),
    agent: document.agent ?? null,
    service: document.service ?? null,
    started_at_us: document.started_at_us ?? null,
    ended_at_us: document.ended_at_us ?? null,
    duration_us: document.duration_us ?? null,
    seq: document.seq ?? 0,
    error: document.error ?? null,
    asks: Boolean(document.preview_input),
    answers: Boolean(document.preview_output),
    wrong_clock: (document.flags ?? []).some((flag) => WRONG_CLOCK_FLAGS.has(flag)),
  };
}

function emptyTable(taskId: string, baseUs: number): StepTable {
  const columns: Skeleton['columns'] = {
    agent: [],
    at: [],
    cost_nusd: [],
    counted: [],
    duration: [],
    end_offset: [],
    first_offset: [],
    input_tokens: [],
    model: [],
    name: [],
    output_tokens: [],
    parent: [],
    phase: [],
    seq: [],
    start: [],
    status: [],
    step_id: [],
    type: [],
  };
  const words = { types: [], statuses: [], names: [], agents: [], models: [] };
  return new StepTable({
    ...words,
    task_id: taskId,
    complete: true,
    position: null,
    base_us: baseUs,
    columns,
    missing_parents: {},
  });
}
