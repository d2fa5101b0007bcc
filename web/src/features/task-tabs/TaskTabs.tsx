import { Link, withParams } from '../../app/router';
import { TASK_TABS, type TaskTab } from './tabs';
import './task-tabs.css';

/** The tab that an address names; null for the steps, and for a name that no tab has. */
export function tabOf(id: string | null): TaskTab | null {
  return TASK_TABS.find((tab) => tab.id === id) ?? null;
}

/** Links to the views of a task: the selected step stays selected. */
export function TaskTabs({ open, isPast }: { open: TaskTab | null; isPast: boolean }) {
  if (TASK_TABS.length === 0) return null;
  return (
    <nav className="task-tabs" aria-label="Views of this task">
      <Link to={withParams({ tab: null })} aria-current={open === null ? 'page' : undefined}>
        Steps
      </Link>
      {TASK_TABS.filter((tab) => !isPast || !tab.isPresent).map((tab) => (
        <Link key={tab.id} to={withParams({ tab: tab.id })} aria-current={open === tab ? 'page' : undefined}>
          {tab.label}
        </Link>
      ))}
    </nav>
  );
}
