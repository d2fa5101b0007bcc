/**
 * A task as it was at a position of the log: the same fold as the live task, over the records up to there. A step forward folds one
 * more record, a step back folds from the beginning.
 */
import type { LiveClient } from '../../api/live';
import { type ApiError, asApiError } from '../../api/problems';
import type { Skeleton, Status, Task } from '../../api/types';
import { type DerivedTask, type DeriveStep, derive, WRONG_CLOCK_FLAGS } from '../../fold/derive';
import { EMPTY_TASK, type StepState, statusOf } from '../../fold/fold';
import { holdClock } from '../../ui/clock';
import { LiveTask } from '../execution-log/live-task';
import { Streams } from '../execution-log/streams';
import { NONE, StepTable } from '../execution-log/table';
import { offsetOf, readTaskLog, type TaskRecord } from './task-log';

/** While the task runs, records that were added since are read this often. */
const MORE_MS = 2_000;
const OPEN: ReadonlySet<Status> = new Set(['running', 'waiting', 'lost']);

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
    if (this.table === null || to < this.index) this.reset();
    for (; this.index < to; this.index++) {
      for (const event of this.records[this.index]?.batch.events ?? []) this.apply(event);
    }
    this.describe();
    // open steps last until the position, not until today
    const last = this.records[this.index - 1];
    if (last) holdClock(Math.max(last.at_ms * 1_000, this.lastEventUs));
    // at once: the tree of another table must never be drawn with this one
    this.notify();
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

  /** What follows from all steps: agents, errors, end, totals. Repeated usage is recognised as it is known now. */
  private describe(): void {
    const { table, present } = this;
    if (table === null || present.task === null) return;
    const steps = [...this.states].filter(([, state]) => state.document !== null);
    const derived = derive(
      steps.map(([id, state]) => derivable(id, state)),
      this.folded,
    );
    let input = 0;
    let output = 0;
    let nano = 0;
    let priced = 0;
    for (let row = 0; row < table.size; row++) {
      const id = table.ids[row] as string;
      const agent = derived.steps.get(id)?.agent ?? null;
      table.agent[row] = agent === null ? NONE : table.agents.index(agent);
      const known = present.table?.rowOf(id) ?? NONE;
      if (known !== NONE) table.counted[row] = present.table?.counted[known] ?? 0;
      if (table.counted[row] !== 1) continue;
      input += table.input[row] || 0;
      output += table.output[row] || 0;
      const cost = table.cost[row] as number;
      if (!Number.isNaN(cost)) {
        nano += cost;
        priced++;
      }
    }
    this.task = {
      ...present.task,
      ...this.described(derived.task),
      steps: table.size,
      errors: derived.task.errors,
      running_steps: table.countOf('running'),
      waiting_steps: table.countOf('waiting'),
      lost_steps: table.countOf('lost'),
      input_tokens: input,
      output_tokens: output,
      cost_usd: priced === 0 ? null : (nano / 1e9).toFixed(9).replace(/\.?0+$/, ''),
      // an open call may still report its tokens
      unmetered_calls: this.index === this.records.length ? present.task.unmetered_calls : 0,
      last_event_at_us: this.lastEventUs,
    };
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
