import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import { useSyncExternalStore } from 'react';
import { asApiError } from '../../api/problems';
import { stepLogsQuery } from '../../api/queries';
import { ErrorStrip } from '../../ui/controls';
import { clock, exact } from '../../ui/format';
import type { LiveTask } from '../execution-log/live-task';
import { Section } from './Section';

interface LogSectionProps {
  project: string;
  task: string;
  stepId: string;
  live: LiveTask;
  open: boolean;
}

/** What the step logged: the stored lines, then those that arrived live after them. Nothing while there are none. */
export function LogSection({ project, task, stepId, live, open }: LogSectionProps) {
  const pages = useInfiniteQuery({
    ...stepLogsQuery(project, task, stepId, open),
    placeholderData: keepPreviousData,
    // a frame may be faster than the tables behind REST
    retry: (failures, error) => failures < 3 && (asApiError(error).transient || asApiError(error).status === 404),
  });
  useSyncExternalStore(
    (listener) => live.streams.subscribe(stepId, listener),
    () => live.streams.versionOf(stepId),
  );
  const stored = pages.isPlaceholderData || live.isPast ? [] : (pages.data?.pages.flatMap((page) => page.items) ?? []);
  const last = pages.data?.pages.at(-1);
  const after = stored.at(-1)?.at_us ?? 0;
  const lines =
    pages.hasNextPage && !live.isPast
      ? stored
      : [...stored, ...(live.streams.of(stepId)?.lines ?? []).filter((line) => line.at_us > after)];
  const missing = last && !live.isPast ? last.received - last.kept : 0;
  if (pages.error && lines.length === 0 && asApiError(pages.error).status !== 404) {
    return <ErrorStrip error={asApiError(pages.error)} doing="Cannot load the log" onRetry={() => pages.refetch()} />;
  }
  if (lines.length === 0) return null;
  return (
    <Section
      title="Log"
      memory="log-lines"
      summary={exact(live.isPast ? lines.length : Math.max(lines.length, last?.kept ?? 0))}
    >
      <ol className="log-lines">
        {lines.map((line, index) => (
          <li key={index} data-level={line.level ?? 'info'}>
            <span className="faint tnum">{clock(line.at_us)}</span> {line.text}
          </li>
        ))}
      </ol>
      {pages.hasNextPage && !live.isPast ? (
        <button type="button" className="button" disabled={pages.isFetching} onClick={() => pages.fetchNextPage()}>
          Show more lines
        </button>
      ) : null}
      {missing > 0 ? (
        <p className="faint">
          {missing === 1 ? '1 further line is' : `${exact(missing)} further lines are`} over the limit and not kept.
        </p>
      ) : null}
    </Section>
  );
}
