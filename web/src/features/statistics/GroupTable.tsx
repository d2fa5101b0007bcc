import type { StatisticsGroup } from '../../api/types';
import { Link } from '../../app/router';
import { cost, count, duration, exact, nusd } from '../../ui/format';
import { SortedTable } from './SortedTable';
import type { Column } from './sorted';
import { errorRate, percent } from './statistics';

const COLUMNS: readonly Column<StatisticsGroup>[] = [
  figure('Steps', (group) => group.steps, exact),
  {
    ...figure(
      'Errors',
      (group) => group.errors,
      (value) => (value ? exact(value) : ''),
    ),
    isBad: true,
  },
  figure('Error rate', errorRate, percent),
  figure('p50', (group) => group.duration_us.p50, duration),
  figure('p95', (group) => group.duration_us.p95, duration),
  figure(
    'Input tokens',
    (group) => group.input_tokens,
    (value) => (value ? count(value) : ''),
  ),
  figure(
    'Output tokens',
    (group) => group.output_tokens,
    (value) => (value ? count(value) : ''),
  ),
  figure('Cost', (group) => nusd(group.cost_usd), cost),
];

function figure(
  name: string,
  value: (group: StatisticsGroup) => number | null,
  format: (value: number) => string,
): Column<StatisticsGroup> {
  const text = (group: StatisticsGroup) => {
    const known = value(group);
    return known === null ? '' : format(known);
  };
  return { name, value, text };
}

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
  return (
    <SortedTable
      title={title}
      rows={groups}
      columns={COLUMNS}
      keyOf={({ key }) => key}
      nameOf={({ key }) => key}
      isChosen={({ key }) => key === chosen}
      head={({ key }) => (
        <button
          type="button"
          className="group-name"
          aria-pressed={key === chosen}
          title="Show the charts of this only"
          onClick={() => onChoose(key === chosen ? null : key)}
        >
          {key || <span className="faint">none</span>}
        </button>
      )}
      tail={({ key }) => {
        const tasks = key === '' ? null : tasksOf(key);
        return tasks ? <Link to={tasks}>Tasks</Link> : null;
      }}
    />
  );
}
