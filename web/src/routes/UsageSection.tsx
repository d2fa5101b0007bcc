import { useMutation, useQuery } from '@tanstack/react-query';
import { type FormEvent, useState } from 'react';
import { changeProject, usageQuery } from '../api/administration';
import { asApiError } from '../api/problems';
import { queryClient } from '../api/queries';
import type { ProjectUsage } from '../api/types.gen';
import { ErrorStrip, toast } from '../ui/controls';
import { bytes, count } from '../ui/format';
import { limitText, megabytesText, parseLimit, parseMegabytes, share } from '../ui/limits';
import { SettingsSection } from './SettingsSection';

/** What the project sends, against its quota, and the limits that owners set. */
export function UsageSection({ project, owner }: { project: string; owner: boolean }) {
  const usage = useQuery(usageQuery(project));
  return (
    <SettingsSection title="Usage and quota">
      {usage.error ? (
        <ErrorStrip error={asApiError(usage.error)} doing="Cannot load the usage" onRetry={() => usage.refetch()} />
      ) : null}
      {usage.data ? (
        <>
          {usage.data.warnings.map((warning) => (
            <p key={warning} className="usage-warning" role="status">
              {warning}
            </p>
          ))}
          <Meters usage={usage.data} />
          {owner ? <Limits key={JSON.stringify(usage.data.own)} project={project} usage={usage.data} /> : null}
          <Days usage={usage.data} />
        </>
      ) : null}
    </SettingsSection>
  );
}

function Meters({ usage }: { usage: ProjectUsage }) {
  return (
    <dl className="usage-meters">
      <Meter
        label="Events this minute"
        used={count(usage.events_this_minute)}
        limit={usage.quota.events_per_minute ? count(usage.quota.events_per_minute) : null}
        part={share(usage.events_this_minute, usage.quota.events_per_minute)}
      />
      <Meter
        label="Bytes today (UTC)"
        used={bytes(usage.bytes_today)}
        limit={usage.quota.bytes_per_day ? bytes(usage.quota.bytes_per_day) : null}
        part={share(usage.bytes_today, usage.quota.bytes_per_day)}
      />
      <Meter label="Events today (UTC)" used={count(usage.events_today)} limit={null} part={null} />
    </dl>
  );
}

interface MeterProps {
  label: string;
  used: string;
  limit: string | null;
  part: number | null;
}

function Meter({ label, used, limit, part }: MeterProps) {
  return (
    <div>
      <dt className="quiet">{label}</dt>
      <dd>
        {used} {limit ? <span className="quiet">of {limit}</span> : null}
        {part === null ? null : (
          <meter aria-label={`${label}: share of the quota`} min={0} max={1} high={0.8} optimum={0} value={part} />
        )}
      </dd>
    </div>
  );
}

function Limits({ project, usage }: { project: string; usage: ProjectUsage }) {
  const [events, setEvents] = useState(limitText(usage.own.events_per_minute));
  const [size, setSize] = useState(megabytesText(usage.own.bytes_per_day));
  const [eventLimit, sizeLimit] = [parseLimit(events), parseMegabytes(size)];
  const change = useMutation({
    mutationFn: () =>
      changeProject(project, { events_per_minute: eventLimit ?? null, bytes_per_day: sizeLimit ?? null }),
    onSuccess: async () => {
      await queryClient.invalidateQueries(usageQuery(project));
      toast('Quota changed');
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate();
  };
  const wrong = eventLimit === undefined || sizeLimit === undefined;
  return (
    <form className="inline usage-limits" onSubmit={submit} aria-label="Limits of this project">
      <label className="field">
        <span>Events per minute</span>
        <input
          className="input limit"
          inputMode="numeric"
          value={events}
          aria-invalid={eventLimit === undefined}
          placeholder={limitText(usage.quota_max.events_per_minute) || 'no limit'}
          onChange={(event) => setEvents(event.target.value)}
        />
      </label>
      <label className="field">
        <span>MB per day</span>
        <input
          className="input limit"
          inputMode="decimal"
          value={size}
          aria-invalid={sizeLimit === undefined}
          placeholder={megabytesText(usage.quota_max.bytes_per_day) || 'no limit'}
          onChange={(event) => setSize(event.target.value)}
        />
      </label>
      <button type="submit" className="button" disabled={change.isPending || wrong}>
        Save quota
      </button>
      {change.error ? <ErrorStrip error={asApiError(change.error)} doing="Cannot change the quota" /> : null}
    </form>
  );
}

function Days({ usage }: { usage: ProjectUsage }) {
  if (usage.days.length === 0) return null;
  return (
    <details>
      <summary>Usage of the last 30 days</summary>
      <table className="table">
        <thead>
          <tr>
            <th scope="col">Day (UTC)</th>
            <th scope="col" className="num">
              Events
            </th>
            <th scope="col" className="num">
              Bytes
            </th>
          </tr>
        </thead>
        <tbody>
          {usage.days.map((item) => (
            <tr key={item.day}>
              <td>{item.day}</td>
              <td className="num">{count(item.events)}</td>
              <td className="num">{bytes(item.bytes)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </details>
  );
}
