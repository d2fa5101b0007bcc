import { useInfiniteQuery } from '@tanstack/react-query';
import { useEffect } from 'react';
import { asApiError } from '../api/problems';
import { sessionQuery, sessionsQuery, tasksOfSessionQuery } from '../api/queries';
import type { Task, TaskSession } from '../api/types';
import { Link, useQuery } from '../app/router';
import { CopyButton, ErrorStrip, When } from '../ui/controls';
import { count, duration, exact, plural } from '../ui/format';
import { Icon, StatusPill } from '../ui/Icon';
import { costText, costTitle, type Totals as KnownTotals, tokensText, tokensTitle } from '../ui/totals';
import { NotFound } from './not-found';
import './sessions.css';

/** `/projects/{project}/sessions`: conversations of several tasks; `?conversation=` opens one. */
export function SessionsPage({ project }: { project: string }) {
  const conversation = useQuery().get('conversation');
  return conversation ? (
    <SessionPage key={conversation} project={project} conversation={conversation} />
  ) : (
    <SessionList project={project} />
  );
}

function pathOf(project: string, conversation: string): string {
  return `/projects/${project}/sessions?conversation=${encodeURIComponent(conversation)}`;
}

function SessionList({ project }: { project: string }) {
  const sessions = useInfiniteQuery(sessionsQuery(project));
  useEffect(() => {
    document.title = 'Sessions · AMS';
  }, []);
  const items = sessions.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <div className="page">
      <div className="page-inner">
        <div className="page-head">
          <div>
            <h1>Sessions</h1>
            <p className="quiet">Tasks that share a conversation ID.</p>
          </div>
        </div>
        {sessions.error ? (
          <ErrorStrip
            error={asApiError(sessions.error)}
            doing="Cannot load the sessions"
            onRetry={() => sessions.refetch()}
          />
        ) : null}
        {sessions.isFetching && !sessions.data ? <div className="loading-bar" /> : null}
        {sessions.data && items.length === 0 ? (
          <p className="quiet">No sessions yet. They appear with the first task that has a conversation ID.</p>
        ) : null}
        {items.length > 0 ? (
          // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
          <section className="session-table" aria-label="Sessions" tabIndex={0}>
            <table className="table stacked flowing">
              <thead>
                <tr>
                  <th scope="col">Session</th>
                  <th scope="col">Agent</th>
                  <th scope="col">User</th>
                  <th scope="col">Last task</th>
                  <th scope="col" className="num">
                    Tasks
                  </th>
                  <th scope="col" className="num">
                    Errors
                  </th>
                  <th scope="col" className="num">
                    Duration
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
                {items.map((session) => (
                  <SessionRow key={session.conversation_id} project={project} session={session} />
                ))}
              </tbody>
            </table>
          </section>
        ) : null}
        {sessions.hasNextPage ? (
          <button
            type="button"
            className="button"
            disabled={sessions.isFetchingNextPage}
            onClick={() => sessions.fetchNextPage()}
          >
            Show more sessions
          </button>
        ) : null}
      </div>
    </div>
  );
}

function SessionRow({ project, session }: { project: string; session: TaskSession }) {
  return (
    <tr>
      <td>
        <Link to={pathOf(project, session.conversation_id)} className="session-link">
          {session.conversation_id}
        </Link>
        {session.preview ? (
          <span className="session-preview cut" dir="auto">
            {session.preview}
          </span>
        ) : null}
      </td>
      <td className="quiet" data-label="Agent">
        {session.agent}
      </td>
      <td className="quiet" data-label="User">
        {session.user_id}
      </td>
      <td className="quiet" data-label="Last task">
        <When us={session.last_at_us} />
      </td>
      <td className="num" data-label="Tasks">
        {tasksOf(session)}
      </td>
      <td className="num bad" data-label="Errors">
        {session.errors > 0 ? exact(session.errors) : ''}
      </td>
      <td className="num" data-label="Duration">
        {duration(session.duration_us)}
      </td>
      <td className="num" data-label="Tokens" title={tokensTitle(session)}>
        {tokensText(session)}
      </td>
      <td className="num" data-label="Cost">
        <Price totals={session} />
      </td>
    </tr>
  );
}

function tasksOf(session: TaskSession): string {
  return session.has_more_tasks ? `over ${exact(session.tasks)}` : exact(session.tasks);
}

function Price({ totals }: { totals: KnownTotals }) {
  const text = costText(totals);
  return text ? <span title={costTitle(totals)}>{text}</span> : null;
}

/** All tasks of a session as one conversation over time. */
function SessionPage({ project, conversation }: { project: string; conversation: string }) {
  const totals = useInfiniteQuery(sessionQuery(project, conversation));
  const pages = useInfiniteQuery(tasksOfSessionQuery(project, conversation));
  useEffect(() => {
    document.title = 'Session · AMS';
  }, []);
  const session = totals.data?.pages[0]?.items[0];
  const error = totals.error ?? pages.error;
  const tasks = (pages.data?.pages.flatMap((page) => page.items) ?? []).toReversed();
  if (totals.data && !session) return <NotFound what="session" />;
  return (
    <div className="page">
      <div className="page-inner session-inner">
        <div className="page-head">
          <div className="session-head">
            <p className="quiet">
              <Link to={`/projects/${project}/sessions`}>Sessions</Link>
            </p>
            <h1 className="session-title">
              {conversation} <CopyButton text={conversation} what="the conversation ID" />
            </h1>
            {session ? <Totals session={session} /> : null}
          </div>
        </div>
        {error ? (
          <ErrorStrip
            error={asApiError(error)}
            doing="Cannot load this session"
            onRetry={() => {
              void totals.refetch();
              void pages.refetch();
            }}
          />
        ) : null}
        {pages.isFetching && !pages.data ? <div className="loading-bar" /> : null}
        {pages.hasNextPage ? (
          <button
            type="button"
            className="button small"
            disabled={pages.isFetchingNextPage}
            onClick={() => pages.fetchNextPage()}
          >
            <Icon name="up" /> Show earlier tasks
          </button>
        ) : null}
        <ol className="session-tasks">
          {tasks.map((task) => (
            <TaskOfSession key={task.task_id} project={project} task={task} />
          ))}
        </ol>
      </div>
    </div>
  );
}

function Totals({ session }: { session: TaskSession }) {
  return (
    <p className="quiet session-totals">
      <span>{session.has_more_tasks ? `over ${exact(session.tasks)} tasks` : plural(session.tasks, 'task')}</span>
      <span>{duration(session.duration_us)}</span>
      <span title={tokensTitle(session)}>
        {session.unmetered_calls > 0 ? 'at least ' : ''}
        {count(session.input_tokens)} tokens in, {count(session.output_tokens)} out
      </span>
      <span>
        <Price totals={session} />
      </span>
      {session.errors > 0 ? <span className="bad">{plural(session.errors, 'error')}</span> : null}
      {session.user_id ? <span>user {session.user_id}</span> : null}
    </p>
  );
}

/** What was asked and answered, and what it took. */
function TaskOfSession({ project, task }: { project: string; task: Task }) {
  const path = `/projects/${project}/tasks/${task.task_id}?tab=conversation`;
  const hasTokens = task.input_tokens + task.output_tokens > 0 || task.unmetered_calls > 0;
  return (
    <li className="session-task">
      <div className="session-task-head">
        <Link to={path} className="session-link">
          {task.name || 'Unnamed task'}
        </Link>
        <StatusPill status={task.status} note={task.errors > 0 ? plural(task.errors, 'error') : undefined} />
        <span className="quiet session-facts tnum">
          {task.started_at_us === null ? null : <When us={task.started_at_us} />}
          <span>{duration(task.duration_us)}</span>
          <span>{plural(task.steps, 'step')}</span>
          {hasTokens ? <span title={tokensTitle(task)}>{tokensText(task)} tokens</span> : null}
          <Price totals={task} />
        </span>
      </div>
      <Said who="user" text={task.preview} />
      <Said who={task.agent ?? 'assistant'} text={task.error?.message ?? task.preview_output} isAnswer />
    </li>
  );
}

/** The length of a complete preview: a longer text was cut here. */
const PREVIEW_CHARS = 512;

function Said({ who, text, isAnswer = false }: { who: string; text: string | null; isAnswer?: boolean }) {
  if (!text) return null;
  return (
    <div className={isAnswer ? 'session-said session-answer' : 'session-said'}>
      <span className="session-role cut">{who}</span>
      <p dir="auto">
        {text}
        {text.length >= PREVIEW_CHARS ? '…' : ''}
      </p>
    </div>
  );
}
