import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import { asApiError } from '../../api/problems';
import { deliveryQuery } from '../../api/queries';
import type { Delivery, DeliveryPage, Task } from '../../api/types';
import { Link } from '../../app/router';
import { CopyId, ErrorStrip, When } from '../../ui/controls';
import { clock, dateTime, duration, exact, moment, plural } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { useDeadLetters } from '../dead-letters/dead-letters';
import type { TaskTabProps } from '../task-tabs/tabs';
import {
  droppedOf,
  gapsPath,
  lastNumberOf,
  rangeText,
  reasonText,
  totalsOf,
  type Verdict,
  verdictOf,
} from './delivery';
import './delivery.css';

const GAPS_SHOWN = 12;

/** What the producers of a task sent, and whether all of it arrived. */
export function DeliveryTab({ project, task, live }: TaskTabProps) {
  const open = live.task?.status === 'running' || live.task?.status === 'waiting';
  const pages = useInfiniteQuery({ ...deliveryQuery(project, task, open), placeholderData: keepPreviousData });
  const { letters } = useDeadLetters(project);
  const notStored = letters.filter((letter) => letter.task_id === task && letter.replayed_at_us === null).length;
  const producers = pages.data?.pages.flatMap((page) => page.items) ?? [];
  const last = pages.data?.pages.at(-1);
  return (
    <section className="delivery-tab" aria-label="Delivery">
      {pages.error ? (
        <ErrorStrip error={asApiError(pages.error)} doing="Cannot load the delivery" onRetry={() => pages.refetch()} />
      ) : null}
      {last && live.task ? (
        <div className="delivery-inner">
          <VerdictLine producers={producers} notStored={notStored} open={open} more={pages.hasNextPage} />
          {notStored > 0 ? (
            <p className="quiet">
              {plural(notStored, 'record')} arrived and could not be stored.{' '}
              <Link to={`/projects/${project}/not-stored?task=${task}`}>Show not stored records</Link>
            </p>
          ) : null}
          <Place page={last} task={live.task} />
          {producers.map((producer) => (
            <Producer key={producer.instance_id} producer={producer} />
          ))}
          {pages.hasNextPage ? (
            <button type="button" className="button" disabled={pages.isFetching} onClick={() => pages.fetchNextPage()}>
              Show more producers
            </button>
          ) : null}
        </div>
      ) : pages.error ? null : (
        <div className="loading-bar" />
      )}
    </section>
  );
}

interface VerdictLineProps {
  producers: readonly Delivery[];
  notStored: number;
  open: boolean;
  more: boolean;
}

const MARKS: Record<Verdict, string> = {
  complete: 'ok',
  cut: 'waiting',
  incomplete: 'error',
  unproven: 'waiting',
  unnumbered: 'cancelled',
};

function VerdictLine({ producers, notStored, open, more }: VerdictLineProps) {
  const totals = totalsOf(producers);
  const verdict = verdictOf(producers, notStored);
  const { delivered } = totals;
  const sentence = {
    complete: `${open ? 'Complete so far' : 'Complete'}: all ${plural(delivered, 'event')} of ${plural(producers.length, 'producer')} arrived.`,
    cut: `All ${plural(delivered, 'event')} arrived. ${plural(totals.truncated, 'payload was', 'payloads were')} cut by the producer.`,
    incomplete: `Incomplete: ${[
      totals.missing > 0 ? `${plural(totals.missing, 'event')} did not arrive` : '',
      totals.dropped > 0 ? `${plural(totals.dropped, 'event was', 'events were')} dropped by the producer` : '',
      notStored > 0 ? `${plural(notStored, 'record was', 'records were')} not stored` : '',
    ]
      .filter(Boolean)
      .join(', ')}.`,
    unproven: `${plural(delivered, 'event')} arrived. Up to ${exact(totals.unproven)} of them may be missing: there were too many gaps to keep each.`,
    unnumbered: 'Completeness is unknown: OpenTelemetry exporters do not number their spans.',
  }[verdict];
  return (
    <p className="delivery-verdict" data-verdict={verdict} role="status">
      <Icon name={`status-${MARKS[verdict]}`} />
      <strong>{sentence}</strong>
      {more ? <span className="quiet">Of the producers shown here.</span> : null}
    </p>
  );
}

/** Where the task is in the log, and by which clocks. */
function Place({ page, task }: { page: DeliveryPage; task: Task }) {
  const delayUs = page.received_at_us - task.last_event_at_us;
  return (
    <dl className="delivery-facts">
      <div>
        <dt>First position</dt>
        <dd>
          <code>{page.first_position}</code>
        </dd>
      </div>
      <div>
        <dt>Last position</dt>
        <dd>
          <code>{page.last_position}</code>
        </dd>
      </div>
      <div>
        <dt>Last record received</dt>
        <dd title={moment(page.received_at_us)}>
          <When us={page.received_at_us} />
        </dd>
      </div>
      <div>
        <dt>Last event by the producer’s clock</dt>
        <dd title={moment(task.last_event_at_us)}>
          <span className="tnum">{dateTime(task.last_event_at_us)}</span>{' '}
          <span className="quiet">
            {delayUs < 0
              ? `the producer’s clock is ahead by at least ${duration(-delayUs)}`
              : `received ${duration(delayUs)} later`}
          </span>
        </dd>
      </div>
      <div>
        <dt>Searchable</dt>
        <dd>
          {page.searchable_until_us === null || page.searchable_until_us >= page.received_at_us ? (
            'all inputs and outputs'
          ) : (
            <span title={moment(page.searchable_until_us)}>
              inputs and outputs until {clock(page.searchable_until_us, 3)}
            </span>
          )}
        </dd>
      </div>
    </dl>
  );
}

function Producer({ producer }: { producer: Delivery }) {
  const last = lastNumberOf(producer);
  const dropped = droppedOf(producer);
  return (
    <section className="delivery-producer" aria-label={`Producer ${producer.instance_id}`}>
      <h2>
        {[producer.sdk, producer.version].filter(Boolean).join(' ')}
        {producer.host ? <span className="quiet"> on {producer.host}</span> : null}
        <CopyId id={producer.instance_id} what="the producer’s ID" />
      </h2>
      <Strip producer={producer} last={last} />
      <dl className="delivery-facts">
        <div>
          <dt>Events</dt>
          <dd className="tnum">{last === 0 ? 'none' : `1–${exact(last)}`}</dd>
        </div>
        <Count name="Arrived" value={producer.delivered} />
        <Count name="Missing" value={producer.missing} bad />
        <Count name="Duplicates" value={producer.duplicates} note="Sent again after a retry; each counts once." />
        {producer.unproven > 0 ? (
          <Count name="Possibly missing" value={producer.unproven} bad note="There were too many gaps to keep each." />
        ) : null}
        <Count name="Dropped" value={dropped} bad />
        <Count name="Payloads cut" value={producer.truncated} bad />
      </dl>
      {producer.missing > 0 ? <Gaps gaps={producer.gaps} missing={producer.missing} /> : null}
      {dropped > 0 ? (
        <p className="quiet">
          Dropped by the producer:{' '}
          {Object.entries(producer.dropped)
            .map(([reason, events]) => `${exact(events)} because ${reasonText(reason)}`)
            .join(', ')}
          {producer.reported_at_us === null ? null : (
            <>
              {' '}
              (reported <When us={producer.reported_at_us} />)
            </>
          )}
          .
        </p>
      ) : null}
    </section>
  );
}

/** Events 1 to N as a strip; gaps are cut out of it. */
function Strip({ producer, last }: { producer: Delivery; last: number }) {
  const words = producer.missing > 0 ? `${plural(producer.missing, 'event')} missing` : 'none missing';
  return (
    <svg
      className="delivery-strip"
      viewBox="0 0 1000 8"
      preserveAspectRatio="none"
      role="img"
      aria-label={`Events 1 to ${last}, ${words}`}
    >
      <rect className="arrived" width="1000" height="8" />
      <path className="missing" d={gapsPath(producer.gaps, last)} />
    </svg>
  );
}

function Gaps({ gaps, missing }: { gaps: number[][]; missing: number }) {
  const rest = gaps.length - GAPS_SHOWN;
  return (
    <p className="quiet tnum">
      {plural(missing, 'missing event')}: {gaps.slice(0, GAPS_SHOWN).map(rangeText).join(', ')}
      {rest > 0 ? ` and ${plural(rest, 'more gap')}` : ''}
    </p>
  );
}

function Count({ name, value, bad = false, note }: { name: string; value: number; bad?: boolean; note?: string }) {
  return (
    <div title={note}>
      <dt>{name}</dt>
      <dd className={bad && value > 0 ? 'tnum bad' : 'tnum'}>{exact(value)}</dd>
    </div>
  );
}
