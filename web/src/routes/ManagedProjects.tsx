import { useInfiniteQuery, useMutation } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { managedProjectsQuery, setQuota } from '../api/administration';
import { asApiError } from '../api/problems';
import { queryClient } from '../api/queries';
import type { ManagedProject, Quota } from '../api/types.gen';
import { ErrorStrip, toast } from '../ui/controls';
import { bytes, count } from '../ui/format';
import { limitText, megabytesText, parseLimit, parseMegabytes } from '../ui/limits';

/** The projects of the installation with usage and quotas. */
export function ManagedProjects() {
  const projects = useInfiniteQuery(managedProjectsQuery);
  const items = projects.data?.pages.flatMap((page) => page.items) ?? [];
  const platform = projects.data?.pages[0]?.quota ?? {};
  return (
    <section className="settings-section" aria-label="Projects">
      <h2>Projects</h2>
      <p className="quiet">
        A project without a quota of its own has that of the installation. Agents over their quota receive 429 until the
        minute or the day (UTC) ends.
      </p>
      {projects.error ? (
        <ErrorStrip
          error={asApiError(projects.error)}
          doing="Cannot load the projects"
          onRetry={() => projects.refetch()}
        />
      ) : null}
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it */}
      <section className="table-scroll" aria-label="List of projects" tabIndex={0}>
        <table className="table">
          <thead>
            <tr>
              <th scope="col">Project</th>
              <th scope="col">Owners</th>
              <th scope="col" className="num">
                Members
              </th>
              <th scope="col" className="num">
                Events, 30 days
              </th>
              <th scope="col" className="num">
                Bytes, 30 days
              </th>
              <th scope="col">Quota: events per minute, MB per day, days</th>
            </tr>
          </thead>
          <tbody>
            {items.map((item) => (
              <tr key={item.project_id}>
                <td className="key-name">{item.name}</td>
                <td className="quiet">{item.owners.join(', ')}</td>
                <td className="num">{count(item.members)}</td>
                <td className="num">{count(item.events_30_days)}</td>
                <td className="num">{bytes(item.bytes_30_days)}</td>
                <td>
                  <QuotaForm key={JSON.stringify(item.quotas)} item={item} platform={platform} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      {projects.hasNextPage ? (
        <button
          type="button"
          className="button wide"
          disabled={projects.isFetchingNextPage}
          onClick={() => void projects.fetchNextPage()}
        >
          Show more projects
        </button>
      ) : null}
    </section>
  );
}

function QuotaForm({ item, platform }: { item: ManagedProject; platform: Quota }) {
  const [events, setEvents] = useState(limitText(item.quotas.events_per_minute_max));
  const [size, setSize] = useState(megabytesText(item.quotas.bytes_per_day_max));
  const [days, setDays] = useState(limitText(item.quotas.retention_days_max));
  const [eventLimit, sizeLimit, dayLimit] = [parseLimit(events), parseMegabytes(size), parseLimit(days)];
  const change = useMutation({
    mutationFn: () =>
      setQuota(item.project_id, {
        events_per_minute: eventLimit ?? null,
        bytes_per_day: sizeLimit ?? null,
        retention_days: dayLimit ?? null,
      }),
    onSuccess: async () => {
      await queryClient.invalidateQueries(managedProjectsQuery);
      toast(`Quota of ${item.name} changed`);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate();
  };
  const wrong = eventLimit === undefined || sizeLimit === undefined || dayLimit === undefined;
  return (
    <form className="inline quota-form" onSubmit={submit} aria-label={`Quota of ${item.name}`}>
      <input
        className="input"
        inputMode="numeric"
        aria-label="Events per minute"
        aria-invalid={eventLimit === undefined}
        placeholder={limitText(platform.events_per_minute) || 'no limit'}
        value={events}
        onChange={(event) => setEvents(event.target.value)}
      />
      <input
        className="input"
        inputMode="decimal"
        aria-label="MB per day"
        aria-invalid={sizeLimit === undefined}
        placeholder={megabytesText(platform.bytes_per_day) || 'no limit'}
        value={size}
        onChange={(event) => setSize(event.target.value)}
      />
      <input
        className="input"
        inputMode="numeric"
        aria-label="Days of retention"
        aria-invalid={dayLimit === undefined}
        placeholder="all"
        value={days}
        onChange={(event) => setDays(event.target.value)}
      />
      <button type="submit" className="button small" disabled={change.isPending || wrong}>
        Set
      </button>
      {change.error ? <span className="field-error">{asApiError(change.error).message}</span> : null}
    </form>
  );
}
