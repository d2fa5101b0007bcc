import { useInfiniteQuery } from '@tanstack/react-query';
import { useCallback, useEffect, useMemo, useState } from 'react';
import { asApiError } from '../api/problems';
import { usePreference } from '../app/preferences';
import { Link, navigate, useQuery, withParams } from '../app/router';
import { AHEAD, filterOf, placeOf, queueAddress, queueQuery } from '../features/scores/queue';
import { onScored } from '../features/scores/useScores';
import { serverNowUs } from '../ui/clock';
import { ErrorStrip, toast } from '../ui/controls';
import { exact } from '../ui/format';
import { Icon } from '../ui/Icon';
import { TaskPage } from './task';
import './annotate.css';

/** `/projects/{project}/annotate?q=&task=`: the tasks of a filter one after the other, to be scored. */
export function AnnotatePage({ project }: { project: string }) {
  const query = useQuery();
  const wanted = query.get('task');
  const own = queueAddress(project, Object.fromEntries(query));
  // biome-ignore lint/correctness/useExhaustiveDependencies: the address without the task is the filter
  const filter = useMemo(() => filterOf(query, serverNowUs() / 1_000), [own]);
  const pages = useInfiniteQuery(queueQuery(project, filter));
  const ids = useMemo(
    () => pages.data?.pages.flatMap((page) => page.items.map(({ task_id }) => task_id)) ?? [],
    [pages.data],
  );
  const at = placeOf(ids, wanted);
  const task = ids[at] ?? null;
  const [advance, setAdvance] = usePreference('annotate.advance', 'on');
  const [scored, setScored] = useState<ReadonlySet<string>>(new Set());
  const { hasNextPage, isFetching, fetchNextPage } = pages;
  useEffect(() => {
    if (hasNextPage && !isFetching && ids.length > 0 && at >= ids.length - AHEAD) void fetchNextPage();
  }, [hasNextPage, isFetching, fetchNextPage, at, ids.length]);
  const go = useCallback(
    (by: 1 | -1) => {
      const next = ids[at + by];
      if (next) navigate(withParams({ task: next, step: null, find: null }), { replace: true });
      else toast(by < 0 ? 'This is the first task of the queue' : 'This is the last task of the queue');
    },
    [ids, at],
  );
  useEffect(
    () =>
      onScored((id, step) => {
        setScored((before) => new Set(before).add(id));
        // a step is one of many: the next task opens when the task itself is judged
        if (advance === 'on' && step === null && id === task) go(1);
      }),
    [advance, go, task],
  );
  const name = query.get('view') || filter.q || 'All tasks';
  return (
    <div className="annotate-page">
      <header className="annotate-bar">
        <Link
          className="button plain small square"
          to={queueAddress(project, Object.fromEntries(query)).replace('/annotate', '/tasks')}
          aria-label="Close the queue"
          title="Close the queue"
        >
          <Icon name="close" />
        </Link>
        <strong className="cut" dir="auto" title={name}>
          {name}
        </strong>
        <span className="tnum annotate-place" role="status">
          {ids.length === 0 ? '' : `${exact(at + 1)} of ${exact(ids.length)}${hasNextPage ? '+' : ''}`}
          {scored.size > 0 ? ` · ${exact(scored.size)} scored` : ''}
        </span>
        <label className="annotate-advance">
          <input
            type="checkbox"
            checked={advance === 'on'}
            onChange={(event) => setAdvance(event.target.checked ? 'on' : 'off')}
          />
          Next after a score
        </label>
        <button
          type="button"
          className="button small"
          disabled={at === 0}
          title="Previous task ([)"
          onClick={() => go(-1)}
        >
          <Icon name="back" /> Previous
        </button>
        <button
          type="button"
          className="button small"
          disabled={at >= ids.length - 1}
          title="Next task (])"
          onClick={() => go(1)}
        >
          Next <Icon name="next" />
        </button>
      </header>
      {pages.error ? (
        <ErrorStrip
          error={asApiError(pages.error)}
          doing="Cannot load the queue"
          onRetry={() => void pages.refetch()}
        />
      ) : null}
      {pages.isPending ? <div className="loading-bar" /> : null}
      {task !== null ? (
        <div className="annotate-task">
          <TaskPage key={task} project={project} task={task} onNeighbour={go} />
        </div>
      ) : pages.data ? (
        <div className="plain-page">
          <h1>No tasks in this queue</h1>
          <p className="quiet">No task matches its filter now.</p>
        </div>
      ) : null}
    </div>
  );
}
