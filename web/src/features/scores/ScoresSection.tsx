import { useQuery } from '@tanstack/react-query';
import { type ReactNode, useState } from 'react';
import { asApiError } from '../../api/problems';
import { projectsQuery, scoreNamesQuery } from '../../api/queries';
import type { Score } from '../../api/types';
import { ErrorStrip, toast, When } from '../../ui/controls';
import { exact, plural } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import type { LiveTask } from '../execution-log/live-task';
import { Section } from '../step-detail/Section';
import { ScoreForm } from './ScoreForm';
import { authorOf, isOwn, scoreText, verdictOf } from './scores';
import { removeScore, useMemberNames, useScores, useUserId } from './useScores';
import './scores.css';

const SHOWN = 20;

interface ScoresSectionProps {
  project: string;
  task: string;
  /** null: of the task itself */
  step: string | null;
  live: LiveTask;
  /** above the scores: the averages over the steps, on the page of the task */
  children?: ReactNode;
}

/** What people, models and code judged of a step, or of the task, and the form in which a person adds to it. */
export function ScoresSection({ project, task, step, live, children }: ScoresSectionProps) {
  const { data, error, refetch } = useScores(project, task, step, live);
  const names = useMemberNames(project);
  const user = useUserId();
  const role = useQuery(projectsQuery).data?.items.find((item) => item.project_id === project)?.role;
  const used = useQuery(scoreNamesQuery(project)).data?.items ?? [];
  const useful = [...new Set([...(data?.names ?? []), ...used].map(({ name }) => name))];
  const [shown, setShown] = useState(SHOWN);
  const items = data?.items ?? [];
  const hidden = items.length - shown;
  const remove = async (score: Score) => {
    try {
      await removeScore(project, task, score);
    } catch (thrown) {
      toast(`Cannot remove the score. ${asApiError(thrown).message}`);
    }
  };
  return (
    <Section
      title="Scores"
      memory={step === null ? 'task.scores' : 'scores'}
      summary={items.length === 0 ? '' : exact(items.length)}
    >
      {error ? (
        <ErrorStrip error={asApiError(error)} doing="Cannot load the scores" onRetry={() => void refetch()} />
      ) : null}
      {children}
      {items.length > 0 ? (
        <ul className="score-list">
          {items
            .slice(-shown)
            .reverse()
            .map((score) => {
              const may = !live.isPast && (role === 'owner' || (user !== null && isOwn(score, user)));
              return (
                <ScoreLine
                  key={score.score_id}
                  score={score}
                  author={authorOf(score, names)}
                  onRemove={may ? () => void remove(score) : null}
                />
              );
            })}
        </ul>
      ) : null}
      {hidden > 0 ? (
        <button type="button" className="button small" onClick={() => setShown(items.length)}>
          {plural(hidden, 'earlier score')}
        </button>
      ) : null}
      {data?.next_cursor ? <p className="faint">Only the first {exact(items.length)} scores are listed here.</p> : null}
      {user === null || role === undefined || role === 'viewer' || live.isPast ? null : (
        <ScoreForm project={project} task={task} step={step} known={useful} />
      )}
      {role === 'viewer' && items.length === 0 ? <p className="faint">No scores yet. Viewers cannot add any.</p> : null}
    </Section>
  );
}

interface ScoreLineProps {
  score: Score;
  author: string;
  onRemove: (() => void) | null;
}

function ScoreLine({ score, author, onRemove }: ScoreLineProps) {
  const value = scoreText(score);
  const verdict = verdictOf(score);
  return (
    <li className="score-line">
      <span className="score-name cut" dir="auto" title={score.name}>
        {score.name}
      </span>
      {verdict !== null ? (
        <span className="score-value" data-verdict={verdict}>
          <Icon name={`thumb-${verdict}`} />
          <span className="visually-hidden">{verdict === 'up' ? 'thumbs up' : 'thumbs down'}</span>
        </span>
      ) : value === '' ? null : (
        <span className="score-value cut" dir="auto" title={score.number === null ? value : String(score.number)}>
          {value}
        </span>
      )}
      <span className="score-by cut" dir="auto" title={author}>
        {author}
      </span>
      <When us={score.at_us} className="tnum score-when" />
      {onRemove ? (
        <button
          type="button"
          className="button plain small square"
          aria-label={`Remove the score ${score.name}`}
          title="Remove this score"
          onClick={onRemove}
        >
          <Icon name="close" />
        </button>
      ) : null}
      {score.comment ? (
        <p className="score-comment" dir="auto">
          {score.comment}
        </p>
      ) : null}
    </li>
  );
}
