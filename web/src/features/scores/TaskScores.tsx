import { useQuery } from '@tanstack/react-query';
import { scoreSummaryQuery } from '../../api/queries';
import type { ScoreSummary } from '../../api/types';
import { Link } from '../../app/router';
import { Menu } from '../../ui/controls';
import { exact } from '../../ui/format';
import type { LiveTask } from '../execution-log/live-task';
import { searchesFor, summaryName, summaryText, summaryTitle } from './scores';
import { useFreshScores } from './useScores';
import './scores.css';

const FACTS = 2;
const CHIPS = 12;

interface TaskScoresProps {
  project: string;
  task: string;
  live: LiveTask;
}

function useSummaries({ project, task, live }: TaskScoresProps): ScoreSummary[] {
  const { data } = useQuery(scoreSummaryQuery(project, task));
  useFreshScores(project, task, live);
  return data?.names.filter((summary) => summaryText(summary) !== '') ?? [];
}

/** For the head of a task: the averages of the names that have most scores, over the task and its steps. */
export function ScoreFacts(props: TaskScoresProps) {
  return useSummaries(props)
    .slice(0, FACTS)
    .map((summary) => (
      <div key={summary.name} className="score-fact" title={summaryTitle(summary)}>
        <dt className="cut" dir="auto">
          {summaryName(summary)}
        </dt>
        <dd className="cut" dir="auto">
          {summaryText(summary)}
        </dd>
      </div>
    ));
}

/** The averages by name of a task and its steps; each leads to the tasks that have such scores. */
export function ScoreAverages(props: TaskScoresProps) {
  const summaries = useSummaries(props);
  if (summaries.length === 0) return null;
  return (
    <ul className="score-averages" aria-label="Averages over the task and its steps">
      {summaries.slice(0, CHIPS).map((summary) => (
        <li key={summary.name} title={summaryTitle(summary)}>
          <Menu
            name={`Find tasks by ${summaryName(summary)}`}
            className="chip score-average"
            label={
              <>
                <span className="cut" dir="auto">
                  {summaryName(summary)}
                </span>
                <b className="cut" dir="auto">
                  {summaryText(summary)}
                </b>
                <span className="faint tnum">{exact(summary.scores)}</span>
              </>
            }
          >
            {() =>
              searchesFor(summary).map(([words, clause]) => (
                <Link
                  key={clause}
                  className="menu-item"
                  to={`/projects/${props.project}/tasks?${new URLSearchParams({ q: clause })}`}
                >
                  {words}
                </Link>
              ))
            }
          </Menu>
        </li>
      ))}
    </ul>
  );
}
