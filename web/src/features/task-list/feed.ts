/**
 * The tasks of a project as they are on the screen: pages by cursor, kept up to date by the live list. A change of a known task
 * changes its row in place; a new task is inserted at the top, or waits while rows must not move.
 */
import type { TaskNotice } from '../../api/live';
import { type ApiError, asApiError } from '../../api/problems';
import type { Status, Task, TaskPage } from '../../api/types';
import { isBefore } from '../../fold/position';
import { microseconds, type TaskFilter } from './filter';
import { NEWEST_FIRST, type Order, orderOf } from './orders';

export const PAGE_SIZE = 100;

export class TaskFeed {
  /** in order of the list */
  tasks: Task[] = [];
  /** new tasks that wait for the reader to come up */
  waiting: Task[] = [];
  loading = true;
  loadingMore = false;
  error: ApiError | null = null;
  complete = false;
  /** of a text search: what is not indexed yet; null when everything is */
  textBehind: { records: number; untilUs: number | null } | null = null;
  /** a long search has scanned everything from this moment on, and continues; null when it is complete */
  scannedBackToUs: number | null = null;
  /** another order than by time ran out of time: older tasks were not compared; null when all were */
  sortedBackToUs: number | null = null;
  /** a person stopped the list: new rows wait */
  paused = false;

  private cursor: string | null = null;
  private searched = false;
  private version = 0;
  private readonly listeners = new Set<() => void>();
  private readonly positions = new Map<string, string>();
  private readonly fresh = new Set<string>();
  private scheduled: unknown = null;
  private refreshTimer: unknown = null;
  private held = false;
  private pointed = false;
  /** tasks that were deleted or no longer match while rows are held: they leave with the release */
  private readonly leaving = new Set<string>();
  private stopped = false;
  private round = 0;
  private readonly order: Order;
  private readonly range: [number, number];

  constructor(
    private readonly fetchPage: (cursor: string | null) => Promise<TaskPage>,
    private readonly filter: TaskFilter,
  ) {
    this.order = orderOf(filter.sort);
    this.range = [microseconds(filter.from) ?? -Infinity, microseconds(filter.to) ?? Infinity];
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };

  readonly getVersion = (): number => this.version;

  start(): void {
    this.stopped = false;
    void this.refresh();
  }

  stop(): void {
    this.stopped = true;
    clearTimeout(this.scheduled as number | undefined);
    clearTimeout(this.refreshTimer as number | undefined);
    this.scheduled = null;
    this.refreshTimer = null;
  }

  /** A task that came while the page was open: its row fades in. */
  isFresh(taskId: string): boolean {
    return this.fresh.has(taskId);
  }

  /** Fetch the first page again; what was loaded beyond it stays. */
  readonly refresh = async (): Promise<void> => {
    const round = ++this.round;
    this.loading = true;
    this.changed();
    try {
      const page = await this.fetchPage(null);
      if (this.stopped || round !== this.round) return;
      const known = new Set(page.items.map((task) => task.task_id));
      const last = page.items.at(-1);
      const untilUs = page.scanned_back_to_us ?? null;
      const isBeyond = (task: Task): boolean =>
        page.next_cursor !== null &&
        (untilUs !== null ? sortKey(task) < untilUs : last !== undefined && this.order(last, task) < 0);
      // rows of later pages stay; rows of this page's range that the answer lacks were deleted
      const older = this.tasks.filter((task) => !known.has(task.task_id) && isBeyond(task));
      if (older.length === 0 && !this.hasSearchedBeyond(untilUs)) this.moveCursor(page);
      this.settle([...page.items, ...older]);
      this.textBehind = textLagOf(page);
      this.sortedBackToUs = page.sorted_back_to_us ?? null;
      this.error = null;
    } catch (thrown) {
      if (round === this.round) this.error = asApiError(thrown);
    } finally {
      if (round === this.round) {
        this.loading = false;
        this.notify();
        if (this.error === null && this.tasks.length < PAGE_SIZE) void this.continueSearch();
      }
    }
  };

  /** A search that ran out of time continues by itself until there is another page. */
  private async continueSearch(): Promise<void> {
    const enough = this.tasks.length + PAGE_SIZE;
    const round = this.round;
    while (this.scannedBackToUs !== null && this.tasks.length < enough && !this.stopped && round === this.round) {
      if (this.loadingMore || !(await this.loadNextPage())) return;
    }
  }

  /** A refresh looks at the newest only; what was found out about the rest still holds. */
  private hasSearchedBeyond(untilUs: number | null): boolean {
    return untilUs !== null && this.searched && (this.complete || (this.scannedBackToUs ?? untilUs) < untilUs);
  }

  private moveCursor(page: TaskPage): void {
    this.cursor = page.next_cursor;
    this.complete = page.next_cursor === null;
    this.scannedBackToUs = page.next_cursor === null ? null : (page.scanned_back_to_us ?? null);
    this.searched = true;
  }

  readonly more = async (): Promise<void> => {
    if (await this.loadNextPage()) await this.continueSearch();
  };

  /** Whether there is a page more. */
  private async loadNextPage(): Promise<boolean> {
    if (this.loadingMore || this.loading || this.complete || this.cursor === null) return false;
    this.loadingMore = true;
    this.changed();
    try {
      const page = await this.fetchPage(this.cursor);
      if (this.stopped) return false;
      const known = new Set(this.tasks.map((task) => task.task_id));
      this.tasks = [...this.tasks, ...page.items.filter((task) => !known.has(task.task_id))];
      this.moveCursor(page);
      this.error = null;
      return true;
    } catch (thrown) {
      this.error = asApiError(thrown);
      return false;
    } finally {
      this.loadingMore = false;
      this.notify();
    }
  }

  /** Rows must not move: the pointer is on them, or the reader is further down. What would move them waits. */
  hold(held: boolean): void {
    this.pointed = held;
    this.held = held || this.paused;
    if (!this.held && (this.waiting.length > 0 || this.leaving.size > 0)) this.release();
  }

  pause(paused: boolean): void {
    this.paused = paused;
    this.hold(this.pointed);
    this.notify();
  }

  readonly release = (): void => {
    const stay = this.tasks.filter((task) => !this.leaving.has(task.task_id));
    this.tasks = [...this.waiting, ...stay].sort(this.order);
    this.waiting = [];
    this.leaving.clear();
    this.notify();
  };

  /** The reader deleted these: they leave at once, also while rows are held. */
  drop(ids: ReadonlySet<string>): void {
    this.tasks = this.tasks.filter((task) => !ids.has(task.task_id));
    this.waiting = this.waiting.filter((task) => !ids.has(task.task_id));
    this.notify();
  }

  /** Show these tasks; while rows are held each known one is updated at its place. */
  private settle(tasks: Task[]): void {
    if (!this.held || this.tasks.length === 0) {
      this.tasks = tasks;
      this.waiting = [];
      this.leaving.clear();
      return;
    }
    const fetched = new Map(tasks.map((task) => [task.task_id, task]));
    this.leaving.clear();
    this.tasks = this.tasks.map((task) => {
      const next = fetched.get(task.task_id);
      if (!next) this.leaving.add(task.task_id);
      return next ?? task;
    });
    const shown = new Set(this.tasks.map((task) => task.task_id));
    this.waiting = tasks.filter((task) => !shown.has(task.task_id));
  }

  applyNotices(notices: TaskNotice[]): void {
    let needsRefresh = false;
    for (const { task_id, change } of notices) {
      if (change === null) {
        this.remove(task_id);
        continue;
      }
      const before = this.positions.get(task_id);
      if (before && isBefore(change.position, before)) continue;
      this.positions.set(task_id, change.position);
      if (this.replace(change.task)) continue;
      if (this.needsServer()) needsRefresh = true;
      else if (this.matches(change.task)) this.insert(change.task);
    }
    if (needsRefresh) this.refreshSoon();
    else if (!this.held && this.filter.sort !== NEWEST_FIRST) this.tasks = [...this.tasks].sort(this.order);
    this.changed();
  }

  private replace(task: Task): boolean {
    for (const list of [this.tasks, this.waiting]) {
      const at = list.findIndex((known) => known.task_id === task.task_id);
      if (at < 0) continue;
      const leaves = !this.needsServer() && !this.matches(task);
      if (leaves && !this.isHeld(list)) list.splice(at, 1);
      else list[at] = task;
      if (leaves && this.isHeld(list)) this.leaving.add(task.task_id);
      else this.leaving.delete(task.task_id);
      return true;
    }
    return false;
  }

  private insert(task: Task): void {
    this.fresh.add(task.task_id);
    const list = this.held ? this.waiting : this.tasks;
    let at = list.findIndex((known) => this.order(task, known) < 0);
    if (at < 0) {
      // after all that is loaded: it comes with its page
      if (!this.complete && list === this.tasks && list.length > 0) return;
      at = list.length;
    }
    list.splice(at, 0, task);
  }

  private isHeld(list: Task[]): boolean {
    return this.held && list === this.tasks;
  }

  private remove(taskId: string): void {
    if (this.held && this.tasks.some((task) => task.task_id === taskId)) {
      this.leaving.add(taskId);
      return;
    }
    this.tasks = this.tasks.filter((task) => task.task_id !== taskId);
    this.waiting = this.waiting.filter((task) => task.task_id !== taskId);
  }

  /** A query is the server's to judge. */
  private needsServer(): boolean {
    return this.filter.q !== '';
  }

  private matches(task: Task): boolean {
    const { status, agent } = this.filter;
    const [from, to] = this.range;
    return (
      task.folded_into === null &&
      task.duplicate_of === null && // the list leaves these out unless the query asks for them, and then the server decides
      task.sort_at_us >= from &&
      task.sort_at_us < to &&
      (status === '' || status.split(',').includes(task.status satisfies Status)) &&
      (agent === '' || task.agent === agent)
    );
  }

  private refreshSoon(): void {
    this.refreshTimer ??= setTimeout(() => {
      this.refreshTimer = null;
      void this.refresh();
    }, 2_000);
  }

  private changed(): void {
    if (this.scheduled !== null) return;
    this.scheduled = setTimeout(() => {
      this.scheduled = null;
      this.notify();
    }, 100);
  }

  private notify(): void {
    this.version++;
    for (const listener of this.listeners) listener();
  }
}

function textLagOf({ text_lag_records, text_until_us }: TaskPage): TaskFeed['textBehind'] {
  return text_lag_records ? { records: text_lag_records, untilUs: text_until_us ?? null } : null;
}

/** The moment of a task in the list. */
function sortKey(task: Task): number {
  return task.sort_at_us;
}

/** What a full bar means: the longest of the rows, but not one that would press all others to nothing. */
export function barScale(tasks: Task[], nowUs: number): number {
  const all = tasks.map((task) => task.duration_us ?? (task.started_at_us === null ? 0 : nowUs - task.started_at_us));
  const sorted = all.filter((us) => us > 0).sort((a, b) => a - b);
  const usual = (sorted[Math.floor(sorted.length / 2)] ?? 0) * 6;
  const most = sorted.findLast((us) => us <= usual) ?? sorted.at(-1) ?? 0;
  // in steps of a fifth, so that a running task does not redraw every row each second
  return most > 0 ? 2 ** (Math.ceil(Math.log2(most) * 4) / 4) : 0;
}
