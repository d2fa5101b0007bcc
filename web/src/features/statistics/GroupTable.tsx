import { useState } from 'react';
import type { StatisticsGroup } from '../../api/types';
import { Link } from '../../app/router';
import { cost, count, duration, exact, nusd } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { errorRate, percent } from './statistics';

const COLUMNS: readonly [string, (group: StatisticsGroup) => number | null, (value: number) => string][] = [
  ['Steps', (group) => group.steps, exact],
  ['Errors', (group) => group.errors, (value) => (value ? exact(value) : '')],
  ['Error rate', errorRate, percent],
  ['p50', (group) => group.duration_us.p50, duration],
  ['p95', (group) => group.duration_us.p95, duration],
  ['Input tokens', (group) => group.input_tokens, (value) => (value ? count(value) : '')],
  ['Output tokens', (group) => group.output_tokens, (value) => (value ? count(value) : '')],
  ['Cost', (group) => nusd(group.cost_usd), cost],
];

interface GroupTableProps {
  title: string;
  groups: readonly StatisticsGroup[];
  /** the group that the charts show alone */
  chosen: string | null;
  onChoose: (key: string | null) => void;
  /** the tasks of a group; null where tasks cannot be filtered by it */
  tasksOf: (key: string) => string | null;
}

/** The groups of a dimension; a name shows the charts of it alone. */
export function GroupTable({ title, groups, chosen, onChoose, tasksOf }: GroupTableProps) {
  const [order, setOrder] = useState<[number, boolean]>([0, true]);
  const [place, descending] = order;
  const read = COLUMNS[place]?.[1] ?? (() => 0);
  const sorted = [...groups].sort((a, b) => ((read(b) ?? -1) - (read(a) ?? -1)) * (descending ? 1 : -1));
  return (
    <div className="group-table">
      <table className="table">
        <thead>
          <tr>
            <th scope="col">{title}</th>
            {COLUMNS.map(([name], index) => (
              <th
                key={name}
                scope="col"
                className="num"
                aria-sort={index === place ? (descending ? 'descending' : 'ascending') : undefined}
              >
                <button
                  type="button"
                  className="group-sort"
                  onClick={() => setOrder([index, index === place ? !descending : true])}
                >
                  {name}
                  {index === place ? <Icon name={descending ? 'down' : 'up'} /> : null}
                </button>
              </th>
            ))}
            <th scope="col">
              <span className="visually-hidden">Tasks</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {sorted.map((group) => {
            const tasks = group.key === '' ? null : tasksOf(group.key);
            return (
              <tr key={group.key} data-chosen={group.key === chosen || undefined}>
                <td>
                  <button
                    type="button"
                    className="group-name"
                    aria-pressed={group.key === chosen}
                    title="Show the charts of this only"
                    onClick={() => onChoose(group.key === chosen ? null : group.key)}
                  >
                    {group.key || <span className="faint">none</span>}
                  </button>
                </td>
                {COLUMNS.map(([name, value, text]) => {
                  const known = value(group);
                  return (
                    <td key={name} className={name === 'Errors' ? 'num group-errors' : 'num'}>
                      {known === null ? '' : text(known)}
                    </td>
                  );
                })}
                <td>{tasks ? <Link to={tasks}>Tasks</Link> : null}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
