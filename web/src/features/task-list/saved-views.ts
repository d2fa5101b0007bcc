/** What a saved view holds of the page's address, and the address of a saved view. */
import type { View } from '../../api/types';
import { clauseOf, RELATIVE_RANGES, type TaskFilter, toggleClause } from './filter';
import { NEWEST_FIRST } from './orders';

/** The body that saves a view: status and agent of the address become clauses of the query. */
export function viewOf(name: string, shared: boolean, filter: TaskFilter, range: string, columns: string[]) {
  const clauses = [
    filter.status ? `status:${filter.status}` : '',
    filter.agent ? clauseOf('agent', filter.agent) : '',
  ].filter(Boolean);
  return {
    name,
    visibility: shared ? 'shared' : 'private',
    page: 'tasks',
    q: clauses.reduce(toggleClause, filter.q),
    sort: filter.sort === NEWEST_FIRST ? null : filter.sort,
    columns: columns.length > 0 ? columns : null,
    range: range ? { last: range } : { from: filter.from || null, to: filter.to || null },
  };
}

/** The query values of the address that shows a view. */
export function addressOf(view: View): Record<string, string | null> {
  const last = RELATIVE_RANGES.find(([name]) => name === view.range.last)?.[0] ?? null;
  return {
    q: view.q,
    sort: view.sort,
    status: null,
    agent: null,
    range: last,
    from: view.range.from ?? null,
    to: view.range.to ?? null,
  };
}
