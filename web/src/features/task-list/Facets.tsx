import { useQuery } from '@tanstack/react-query';
import { asApiError } from '../../api/problems';
import type { TaskFacets } from '../../api/types';
import { navigate, withParams } from '../../app/router';
import { exact } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { facetsQuery } from './explore';
import { clauseOf, hasClause, type TaskFilter, toggleClause } from './filter';
import './facets.css';

const TITLES: Record<string, string> = {
  status: 'Status',
  agent: 'Agent',
  env: 'Environment',
  user: 'User',
  kind: 'Kind',
  error: 'Error',
  flag: 'Flag',
};

interface FacetsProps {
  project: string;
  filter: TaskFilter;
  live: boolean;
}

/** What the matches of the filter have in common, with counts: a click filters by a value or excludes it. */
export function Facets({ project, filter, live }: FacetsProps) {
  const answer = useQuery(facetsQuery(project, filter, live));
  const facets = answer.data;
  return (
    <aside className="task-facets" aria-label="Filters">
      {facets ? (
        <p className="faint tnum task-facets-total">
          {exact(facets.tasks)}
          {facets.complete ? '' : '+'} {facets.tasks === 1 ? 'task' : 'tasks'}
        </p>
      ) : null}
      {answer.error ? <p className="faint task-facets-total">{asApiError(answer.error).message}</p> : null}
      {facets?.items.map((facet) => (
        <FacetGroup key={facet.field} facet={facet} complete={facets.complete} q={filter.q} />
      ))}
    </aside>
  );
}

interface FacetGroupProps {
  facet: TaskFacets['items'][number];
  complete: boolean;
  q: string;
}

function FacetGroup({ facet, complete, q }: FacetGroupProps) {
  const title = TITLES[facet.field] ?? facet.field.replace(/^tag\./, '');
  const most = facet.values[0]?.tasks ?? 1;
  return (
    <details open className="facet-group">
      <summary>
        {title}
        {facet.field.startsWith('tag.') ? <span className="faint"> tag</span> : null}
      </summary>
      <ul>
        {facet.values.map(({ value, tasks }) => {
          const clause = clauseOf(facet.field, value);
          const chosen = hasClause(q, clause);
          return (
            <li key={value} className="facet-value" data-chosen={chosen || undefined}>
              <button
                type="button"
                className="facet-pick"
                aria-pressed={chosen}
                title={chosen ? `Remove ${clause}` : `Show only ${clause}`}
                onClick={() => navigate(withParams({ q: toggleClause(q, clause) }))}
              >
                <i style={{ width: `${(tasks / most) * 100}%` }} />
                <span className="cut" dir="auto">
                  {value || '(empty)'}
                </span>
                <span className="num faint">
                  {exact(tasks)}
                  {complete ? '' : '+'}
                </span>
              </button>
              <button
                type="button"
                className="facet-exclude"
                aria-label={`Exclude ${title} ${value}`}
                title={`Exclude ${clause}`}
                onClick={() => navigate(withParams({ q: toggleClause(q, `-${clause}`) }))}
              >
                <Icon name="minus" />
              </button>
            </li>
          );
        })}
      </ul>
      {facet.truncated ? <p className="faint facet-more">More values not shown</p> : null}
    </details>
  );
}
