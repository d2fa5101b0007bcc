import { useDeferredValue, useMemo } from 'react';
import { STEP_TYPES, type Task } from '../../api/types';
import { Link } from '../../app/router';
import { useVisitor } from '../../app/visitor';
import { CopyId, When } from '../../ui/controls';
import { cost, count, duration, exact, exactCost, moment } from '../../ui/format';
import { StatusMark, TypeTile } from '../../ui/Icon';
import type { LiveTask } from '../execution-log/live-task';
import { STATUS, type StepTable } from '../execution-log/table';
import { isError, type Tree } from '../execution-log/tree';
import { selfTimeUs } from '../execution-log/waterfall';
import { ScoresSection } from '../scores/ScoresSection';
import { ScoreAverages } from '../scores/TaskScores';
import { ErrorCard } from './ErrorCard';
import './step-detail.css';
import './overview.css';

const LISTED = 8;

interface OverviewProps {
  project: string;
  task: Task;
  live: LiveTask;
  table: StepTable;
  tree: Tree;
  onSelect: (stepId: string) => void;
}

/** Shown while no step is selected: facts of the task, failed and waiting steps, and where the time went. */
export function TaskOverview({ project, task, live, table, tree, onSelect }: OverviewProps) {
  const visitor = useVisitor();
  // it goes over all steps, several times: the rows come first, and a reader who scrolls
  const whole = useMemo(() => ({ table, tree }), [table, tree]);
  const latest = useDeferredValue<Whole | null>(whole, null);
  // rows of another table, such as the one before a step back in time, are not this one's
  const summed = latest?.table === table ? latest : null;
  const sums = useMemo(() => (summed === null ? [] : sumByType(summed.table, summed.tree)), [summed]);
  const notable = useMemo(() => (summed === null ? NOTHING_NOTABLE : notableRows(summed.table, summed.tree)), [summed]);
  return (
    <div className="detail-body" id="detail" tabIndex={-1}>
      <div className="task-overview">
        <section>
          <h2>Task</h2>
          <dl className="fact-list">
            <Fact name="Started" title={task.started_at_us === null ? undefined : moment(task.started_at_us)}>
              <When us={task.started_at_us} />
            </Fact>
            {task.agent ? <Fact name="Agent">{task.agent}</Fact> : null}
            {task.conversation_id ? (
              <Fact name="Conversation">
                <CopyId id={task.conversation_id} what="the conversation ID" shown={18} />{' '}
                <Link to={`/projects/${project}/sessions?conversation=${encodeURIComponent(task.conversation_id)}`}>
                  Session
                </Link>
              </Fact>
            ) : null}
            {task.user_id ? <Fact name="User">{task.user_id}</Fact> : null}
            {task.environment ? <Fact name="Environment">{task.environment}</Fact> : null}
            {task.parent_task_id ? (
              <Fact name="Parent task">
                <Link to={`/projects/${project}/tasks/${task.parent_task_id}`}>{task.parent_task_id.slice(0, 8)}</Link>
              </Fact>
            ) : null}
            <Fact name="Task ID">
              <CopyId id={task.task_id} what="the task ID" shown={12} />
            </Fact>
            {Object.keys(task.tags).length > 0 ? (
              <Fact name="Tags">
                {Object.entries(task.tags).map(([name, value]) => (
                  <span key={name} className="chip" style={{ margin: '0 4px 2px 0' }} title={value}>
                    <span className="cut">{value ? `${name}: ${value}` : name}</span>
                  </span>
                ))}
              </Fact>
            ) : null}
            {task.flags.length > 0 ? <Fact name="Flags">{task.flags.join(', ').replaceAll('_', ' ')}</Fact> : null}
          </dl>
        </section>
        {task.preview ? (
          <section>
            <h2>Input</h2>
            <p className="text-body" dir="auto">
              {task.preview}
            </p>
          </section>
        ) : null}
      </div>
      {task.error && task.status === 'error' ? <ErrorCard error={task.error} stack={null} /> : null}
      {visitor ? null : (
        <ScoresSection project={project} task={task.task_id} step={null} live={live}>
          <ScoreAverages project={project} task={task.task_id} live={live} />
        </ScoresSection>
      )}
      <div className="task-overview" style={{ paddingTop: 4 }}>
        <Rows title="Waiting for a person" rows={notable.waiting} table={table} onSelect={onSelect} />
        <Rows title="Failed" rows={notable.failed} table={table} onSelect={onSelect} />
        <Rows title="Running" rows={notable.running} table={table} onSelect={onSelect} />
        {sums.length > 0 ? (
          <section>
            <h2>By type</h2>
            <table>
              <thead>
                <tr>
                  <th scope="col">Type</th>
                  <th scope="col" className="num">
                    Steps
                  </th>
                  <th scope="col" className="num">
                    Self time
                  </th>
                  <th scope="col" className="num">
                    Tokens
                  </th>
                  <th scope="col" className="num">
                    Cost
                  </th>
                </tr>
              </thead>
              <tbody>
                {sums.map((sum) => (
                  <tr key={sum.type}>
                    <td>
                      <span>
                        <TypeTile type={sum.type} /> {sum.type}
                      </span>
                    </td>
                    <td className="num">{exact(sum.steps)}</td>
                    <td className="num">{sum.ownUs > 0 ? duration(sum.ownUs) : ''}</td>
                    <td className="num">{sum.tokens > 0 ? count(sum.tokens) : ''}</td>
                    <td className="num" title={sum.cost === null ? 'Unknown' : exactCost(sum.cost)}>
                      {cost(sum.cost)}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </section>
        ) : null}
        <Rows title="Slowest by self time" rows={notable.slow} table={table} tree={tree} onSelect={onSelect} />
      </div>
    </div>
  );
}

function Fact({ name, title, children }: { name: string; title?: string | undefined; children: React.ReactNode }) {
  return (
    <div title={title}>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

interface RowsProps {
  title: string;
  rows: number[];
  table: StepTable;
  /** given: self time is shown instead of the duration */
  tree?: Tree;
  onSelect: (stepId: string) => void;
}

function Rows({ title, rows, table, tree, onSelect }: RowsProps) {
  if (rows.length === 0) return null;
  return (
    <section>
      <h2>
        {title} {rows.length >= LISTED ? '' : <span className="faint">{rows.length}</span>}
      </h2>
      {rows.slice(0, LISTED).map((row) => {
        const us = tree ? selfTimeUs(table, tree, row) : (table.duration[row] as number);
        return (
          <button key={row} type="button" className="step-link" onClick={() => onSelect(table.ids[row] as string)}>
            <TypeTile type={STEP_TYPES[table.type[row] as number] ?? 'span'} />
            <span className="cut">{table.names.at(table.name[row])}</span>
            <span className="faint cut">{table.agents.at(table.agent[row])}</span>
            <span className="num">{Number.isNaN(us) ? '' : duration(us)}</span>
            {table.status[row] === STATUS.error ? <StatusMark status="error" /> : null}
          </button>
        );
      })}
    </section>
  );
}

interface TypeSum {
  type: (typeof STEP_TYPES)[number];
  steps: number;
  ownUs: number;
  tokens: number;
  cost: number | null;
}

function sumByType(table: StepTable, tree: Tree): TypeSum[] {
  const sums = new Map<number, TypeSum>();
  for (let row = 0; row < tree.preorder.length; row++) {
    const index = table.type[row] as number;
    let sum = sums.get(index);
    if (!sum) {
      sum = { type: STEP_TYPES[index] ?? 'span', steps: 0, ownUs: 0, tokens: 0, cost: null };
      sums.set(index, sum);
    }
    sum.steps++;
    const own = selfTimeUs(table, tree, row);
    if (!Number.isNaN(own)) sum.ownUs += own;
    if (!table.counted[row]) continue;
    const input = table.input[row] as number;
    const output = table.output[row] as number;
    sum.tokens += (Number.isNaN(input) ? 0 : input) + (Number.isNaN(output) ? 0 : output);
    const price = table.cost[row] as number;
    if (!Number.isNaN(price)) sum.cost = (sum.cost ?? 0) + price;
  }
  return [...sums.values()].sort((a, b) => b.ownUs - a.ownUs);
}

interface Whole {
  table: StepTable;
  tree: Tree;
}

interface Notable {
  failed: number[];
  waiting: number[];
  running: number[];
  slow: number[];
}

const NOTHING_NOTABLE: Notable = { failed: [], waiting: [], running: [], slow: [] };

function notableRows(table: StepTable, tree: Tree): Notable {
  const failed: number[] = [];
  const waiting: number[] = [];
  const running: number[] = [];
  const slow: [number, number][] = [];
  let least = 0;
  for (let i = 0; i < table.size; i++) {
    const row = table.chronological[i] as number;
    if (row >= tree.preorder.length) continue; // it came after the tree was laid out
    const status = table.status[row];
    const leaf = (tree.children[row] as number) === 0;
    if (isError(table, row) && failed.length < LISTED) failed.push(row);
    if (status === STATUS.waiting && waiting.length < LISTED) waiting.push(row);
    if (status === STATUS.running && leaf && running.length < LISTED) running.push(row);
    const own = leaf ? (table.duration[row] as number) : selfTimeUs(table, tree, row);
    if (Number.isNaN(own) || (slow.length >= 5 && own <= least)) continue;
    slow.push([own, row]);
    if (slow.length > 5) {
      slow.sort((a, b) => b[0] - a[0]);
      slow.length = 5;
      least = slow[4]?.[0] ?? 0;
    }
  }
  slow.sort((a, b) => b[0] - a[0]);
  return { failed, waiting, running, slow: table.size > 4 ? slow.map(([, row]) => row) : [] };
}
