/** What Ctrl+K offers: pure, so that it is tested without a page. */
import type { Task } from '../api/types';
import { ago } from '../ui/format';

export interface Command {
  id: string;
  group: string;
  label: string;
  /** further terms that find it */
  also?: string;
  hint?: string;
  icon: string;
  run: () => void;
}

/** Commands that match, the best first: the label begins so, then a word does, then it is somewhere in it. Order is kept among equals. */
export function fitting(commands: readonly Command[], text: string): Command[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return [...commands];
  return commands
    .map((command) => ({ command, rank: rankOf(`${command.label} ${command.also ?? ''}`.toLowerCase(), wanted) }))
    .filter(({ rank }) => rank > 0)
    .sort((a, b) => b.rank - a.rank)
    .map(({ command }) => command);
}

function rankOf(text: string, wanted: string): number {
  if (text.startsWith(wanted)) return 3;
  if (text.includes(` ${wanted}`)) return 2;
  return wanted.split(/\s+/).every((word) => text.includes(word)) ? 1 : 0;
}

/** The query that finds a task by its id or by words of its name; empty finds the newest. */
export function taskQuery(text: string): string {
  const wanted = text.trim();
  if (/^[0-9a-f]{32}$/i.test(wanted)) return `task:${wanted.toLowerCase()}`;
  const words = wanted.replace(/["\\]/g, ' ').trim();
  return words === '' ? '' : `"${words}"`;
}

export function taskCommands(
  tasks: readonly Task[],
  project: string,
  nowUs: number,
  go: (to: string) => void,
): Command[] {
  return tasks.map((task) => ({
    id: `task-${task.task_id}`,
    group: 'Tasks',
    label: task.name || 'Unnamed task',
    hint: `${ago(task.started_at_us ?? task.last_event_at_us, nowUs)} · ${task.task_id.slice(0, 8)}`,
    icon: 'tree',
    run: () => go(`/projects/${project}/tasks/${task.task_id}`),
  }));
}
