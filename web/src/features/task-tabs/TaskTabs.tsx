import { Link, withParams } from '../../app/router';
import type { Visitor } from '../../app/visitor';
import { TASK_TABS, type TaskTab } from './tabs';
import './task-tabs.css';

/** The tab that an address names; null for the steps, and for a name that no tab has. */
export function tabOf(id: string | null, visitor: Visitor | null = null): TaskTab | null {
  return tabsFor(visitor).find((tab) => tab.id === id) ?? null;
}

/** The tabs that a visitor of a public link may open; all of them for people who are signed in. */
function tabsFor(visitor: Visitor | null): readonly TaskTab[] {
  if (!visitor) return TASK_TABS;
  return TASK_TABS.filter((tab) => tab.visitors === 'all' || (tab.visitors === 'payloads' && visitor.payloads));
}

/** Links to the views of a task: the selected step stays selected. */
export function TaskTabs({
  open,
  isPast,
  visitor,
}: {
  open: TaskTab | null;
  isPast: boolean;
  visitor: Visitor | null;
}) {
  return (
    <nav className="task-tabs" aria-label="Views of this task">
      <Link to={withParams({ tab: null })} aria-current={open === null ? 'page' : undefined}>
        Steps
      </Link>
      {tabsFor(visitor)
        .filter((tab) => !isPast || !tab.isPresent)
        .map((tab) => (
          <Link key={tab.id} to={withParams({ tab: tab.id })} aria-current={open === tab ? 'page' : undefined}>
            {tab.label}
          </Link>
        ))}
    </nav>
  );
}
