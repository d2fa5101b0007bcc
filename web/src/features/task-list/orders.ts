/** The orders of the list, as the server has them: what a live change needs to find its place. */
import type { Task } from '../../api/types';
import { nusd } from '../../ui/format';

export const NEWEST_FIRST = '-started';
const KEY_CHARS_MAX = 64;

type Key = number | string | null;

const KEYS: Record<string, (task: Task) => Key> = {
  started: (task) => task.sort_at_us,
  updated: (task) => task.last_event_at_us,
  duration: (task) => task.duration_us,
  steps: (task) => task.steps,
  errors: (task) => task.errors,
  tokens: (task) => task.input_tokens + task.output_tokens,
  cost: (task) => nusd(task.cost_usd),
  name: (task) => text(task.name),
  agent: (task) => text(task.agent),
  status: (task) => text(task.status),
};

function text(value: string | null): string | null {
  return value === null ? null : value.slice(0, KEY_CHARS_MAX).toLowerCase();
}

export type Order = (a: Task, b: Task) => number;

/** Compares two tasks; unknown values come last, equal ones the newest first. */
export function orderOf(sort: string): Order {
  const descending = sort.startsWith('-');
  const keyOf = KEYS[descending ? sort.slice(1) : sort];
  if (!keyOf || sort === NEWEST_FIRST) return newestFirst;
  return (a, b) => {
    const [x, y] = [keyOf(a), keyOf(b)];
    if (x === y) return newestFirst(a, b);
    if (x === null) return 1;
    if (y === null) return -1;
    const sign = x < y ? -1 : 1;
    return descending ? -sign : sign;
  };
}

function newestFirst(a: Task, b: Task): number {
  return b.sort_at_us - a.sort_at_us || (a.task_id < b.task_id ? -1 : a.task_id > b.task_id ? 1 : 0);
}

/** The next order when a column's head is pressed: numbers begin with the largest, texts with the first. */
export function nextSort(current: string, name: string, numeric: boolean): string {
  const [first, second] = numeric ? [`-${name}`, name] : [name, `-${name}`];
  return current === first ? second : first;
}
