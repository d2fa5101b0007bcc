/**
 * One task on the screen: fetched once as columns, then kept up to date by frames. Views subscribe to `version`; they are
 * notified at most once per animation frame, and so seldom that drawing takes a quarter of the time when the task is very large.
 */
import { request } from '../../api/http';
import type { Frame, LiveClient, Subscription } from '../../api/live';
import { type ApiError, asApiError } from '../../api/problems';
import { session } from '../../api/session';
import type { LogEvent, Skeleton, StepEvent, StepWindow, Task, TaskAnswer } from '../../api/types';
import {
  EMPTY_STEP,
  EMPTY_TASK,
  ended,
  fold,
  foldTask,
  type StepState,
  stepIdsOf,
  type TaskState,
} from '../../fold/fold';
import { markAffected } from './affected';
import { Streams } from './streams';
import { STATUS, StepTable } from './table';
import { layOut, type Tree } from './tree';

/** Documents of steps that changed while the page is open, newest kept: the detail shows them before REST knows them. */
const DOCUMENTS_MAX = 2_000;
/** Notifying lays out and draws the whole task: this many times as long stays free for the reader. */
const PAUSE_PER_NOTIFY = 4;
const PAUSE_MAX_MS = 500;
const FRAME_MS = 16;
const TASK_REFRESH_MS = 1_000;
/** A subscription that is reset at once again must not fetch in a loop. */
/** Open and failed steps of which more than the skeleton is fetched. */
const STATES_MAX = 300;
/** More rows than a screen has, and a skeleton that every task answers at once. */
const FIRST_STEPS = 500;
const STATES_BATCH = 100;
const RELOAD_INTERVAL_MS = 2_000;
const NOT_FOUND_RETRY_MS = 1_500;
const NOT_FOUND_RETRIES_MAX = 40;

export type Phase = 'loading' | 'not-found-yet' | 'ready' | 'failed' | 'deleted';

export class LiveTask {
  phase: Phase = 'loading';
  error: ApiError | null = null;
  task: Task | null = null;
  table: StepTable | null = null;
  tree: Tree | null = null;
  folded: TaskState = EMPTY_TASK;
  /** errors that arose in steps; null while a failure is not known: then the service's total counts */
  errors: number | null = null;
  /** events folded since the page was opened */
  events = 0;
  /** scores that frames have brought: their tables are asked again when this changes */
  scoreEvents = 0;
  /** the newest event's own time: after a while without one the page shows that the agent is silent */
  lastEventUs = 0;
  streams = new Streams();
  /** the task as it was at a position of the log, not as it is now */
  readonly isPast: boolean = false;

  private version = 0;
  private readonly listeners = new Set<() => void>();
  protected states = new Map<string, StepState>();
  private subscription: Subscription | null = null;
  private scheduled: unknown = null;
  private taskTimer: unknown = null;
  private retryTimer: unknown = null;
  protected stopped = false;
  protected readonly documentsMax: number = DOCUMENTS_MAX;
  private loading = false;
  private loadedAtMs = Number.NEGATIVE_INFINITY;
  private tries = 0;
  /** how long the last notification took, and when it was over */
  private notifyMs = 0;
  private notifiedAtMs = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly projectId: string,
    private readonly taskId: string,
    private readonly live: LiveClient,
  ) {}

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly getVersion = (): number => this.version;

  /** The state of a step from frames since the page was opened; null when there were none. */
  stateOf(stepId: string): StepState | null {
    return this.states.get(stepId) ?? null;
  }

  start(): void {
    this.stopped = false;
    void this.load();
  }

  stop(): void {
    this.stopped = true;
    this.subscription?.stop();
    this.subscription = null;
    for (const timer of [this.taskTimer, this.retryTimer, this.scheduled]) clearTimeout(timer as number | undefined);
    this.taskTimer = null;
    this.scheduled = null;
  }

  readonly reload = (): void => {
    this.tries = 0;
    void this.load();
  };

  private async load(): Promise<void> {
    if (this.loading) return;
    this.loading = true;
    try {
      const base = `/api/traces/${this.projectId}/tasks/${this.taskId}`;
      const fetchTask = request<TaskAnswer>(base);
      const first = await this.loadFirst(base, fetchTask);
      if (this.stopped) return;
      const [answer, skeleton] = await Promise.all([fetchTask, first ?? request<Skeleton>(`${base}/skeleton`)]);
      if (this.stopped) return;
      this.task = answer.task;
      this.table = new StepTable(skeleton);
      this.table.fetchedLastEventUs = answer.task.last_event_at_us;
      this.lastEventUs = Math.max(this.lastEventUs, answer.task.last_event_at_us);
      this.states.clear();
      this.error = null;
      this.phase = 'ready';
      this.tries = 0;
      this.loadedAtMs = performance.now();
      this.follow(skeleton.position);
      this.notify();
      void this.loadStates(this.table, `${base}/steps`);
    } catch (thrown) {
      if (!this.stopped) this.fail(asApiError(thrown));
    } finally {
      this.loading = false;
    }
  }

  /** The first steps of a large task are shown while the rest of it is on its way. The skeleton of a small one is complete at once. */
  private async loadFirst(base: string, fetchTask: Promise<TaskAnswer>): Promise<Skeleton | null> {
    if (this.table !== null) return null;
    const [answer, first] = await Promise.all([fetchTask, request<Skeleton>(`${base}/skeleton?first=${FIRST_STEPS}`)]);
    if (first.complete || this.stopped) return first;
    this.task = answer.task;
    this.table = new StepTable(first);
    this.phase = 'ready';
    this.notify();
    return null;
  }

  /** What a skeleton leaves out: failures, and progress of steps that are open. Joined, so it may be older or newer than frames. */
  private async loadStates(table: StepTable, address: string): Promise<void> {
    const ids: string[] = [];
    for (let row = 0; row < table.size && ids.length < STATES_MAX; row++) {
      if (table.status[row] === STATUS.error || !table.ended(row)) ids.push(table.ids[row] as string);
    }
    for (let from = 0; from < ids.length; from += STATES_BATCH) {
      const query = { step_id: ids.slice(from, from + STATES_BATCH).join(','), limit: STATES_BATCH };
      try {
        const window = await request<StepWindow>(address, { query });
        if (this.stopped || this.table !== table) return;
        for (const step of window.items) table.joinStep(step);
      } catch {
        // the skeleton's columns stay, and the service's total of errors
        return;
      }
    }
    if (ids.length > 0) this.changed();
  }

  private loadAgain(): void {
    const wait = this.loadedAtMs + RELOAD_INTERVAL_MS - performance.now();
    if (wait <= 0) void this.load();
    else this.retryTimer = setTimeout(() => void this.load(), wait);
  }

  private fail(error: ApiError): void {
    // a task's address is known to its agent before its first event has arrived here
    const awaited = error.status === 404 && this.tries < NOT_FOUND_RETRIES_MAX;
    this.error = error;
    if (this.table === null) this.phase = awaited ? 'not-found-yet' : 'failed';
    if (awaited || error.transient) {
      this.tries++;
      this.retryTimer = setTimeout(
        () => void this.load(),
        awaited ? NOT_FOUND_RETRY_MS : Math.min(15_000, 1_000 * this.tries),
      );
    }
    this.notify();
  }

  private follow(position: string | null): void {
    if (this.subscription) {
      this.subscription.resume(position);
      return;
    }
    this.subscription = this.live.followTask(this.taskId, position, {
      onFrames: (frames) => this.applyFrames(frames),
      onReset: () => this.loadAgain(),
    });
  }

  private applyFrames(frames: Frame[]): void {
    for (const frame of frames) for (const event of frame.batch.events) this.apply(event);
    this.refreshTaskSoon();
    this.changed();
  }

  protected apply(event: LogEvent): void {
    this.events++;
    if (event.at_us > this.lastEventUs) this.lastEventUs = event.at_us;
    switch (event.kind) {
      case 'step.started':
      case 'step.ended':
      case 'step.recorded':
        this.table?.apply(event);
        this.foldState(event);
        if (event.kind !== 'step.started') this.streams.finish(event.step_id);
        break;
      case 'step.progressed':
        this.table?.apply(event);
        this.foldState(event);
        this.streams.take(event);
        break;
      case 'step.lost':
        this.table?.apply(event);
        this.foldState(event);
        break;
      case 'task.started':
      case 'task.updated':
      case 'task.ended':
        this.folded = foldTask(this.folded, event);
        break;
      case 'score.recorded':
      case 'step.scored':
        this.scoreEvents++;
        break;
      case 'task.deleted':
        this.phase = 'deleted';
        break;
      default:
        break;
    }
  }

  private foldState(event: StepEvent): void {
    for (const id of stepIdsOf(event)) {
      const before = this.states.get(id) ?? EMPTY_STEP;
      const after = fold(before, event, id);
      if (after === before) continue;
      this.states.delete(id);
      this.states.set(id, after);
    }
    if (this.states.size <= this.documentsMax) return;
    for (const [id, state] of this.states) {
      if (this.states.size <= this.documentsMax) break;
      if (ended(state)) this.states.delete(id);
    }
  }

  /** Totals are the server's (roll-up rules need the complete tree): fetched at most once a second. */
  private refreshTaskSoon(): void {
    this.taskTimer ??= setTimeout(() => {
      this.taskTimer = null;
      request<TaskAnswer>(`/api/traces/${this.projectId}/tasks/${this.taskId}`)
        .then((answer) => {
          if (this.stopped) return;
          const running = answer.task.status === 'running' || answer.task.status === 'waiting';
          const behind = this.folded.document !== null && this.folded.stamp?.[0] === 2 && running;
          this.task = answer.task;
          this.changed();
          // a frame brought the task's end, but the projector has not caught up
          if (behind) this.refreshTaskSoon();
        })
        .catch(() => {
          // the next frame fetches again; the connection's state is shown by the pill
        });
    }, TASK_REFRESH_MS);
  }

  protected changed(): void {
    if (this.scheduled !== null) return;
    const pause = Math.min(PAUSE_MAX_MS, this.notifyMs * PAUSE_PER_NOTIFY);
    const wait = Math.max(FRAME_MS, this.notifiedAtMs + pause - performance.now());
    this.scheduled = setTimeout(() => {
      this.scheduled = null;
      this.notify();
    }, wait);
  }

  /** What a notification needs before it, in the time that it may take. */
  protected prepare(): void {}

  protected notify(): void {
    const began = performance.now();
    this.prepare();
    if (this.table) {
      this.errors = markAffected(this.table) ? errorsOf(this.table) : null;
      this.tree = layOut(this.table);
    }
    this.version++;
    for (const listener of this.listeners) listener();
    // React draws in a microtask that the listeners have queued before this one
    queueMicrotask(() => {
      this.notifiedAtMs = performance.now();
      this.notifyMs = this.notifiedAtMs - began;
    });
  }
}

function errorsOf(table: StepTable): number {
  return table.countOf('error') - table.affected.reduce((sum, value) => sum + value, 0);
}

/** The moment by the server's clock, microseconds UTC. */
export function nowUs(): number {
  return (Date.now() + session.clockSkewMs) * 1_000;
}
