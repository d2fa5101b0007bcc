import { useMutation } from '@tanstack/react-query';
import { asApiError } from '../../api/problems';
import { queryClient } from '../../api/queries';
import type { Alert } from '../../api/types';
import { Link } from '../../app/router';
import { When } from '../../ui/controls';
import { dateTime } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { acknowledge, deliveryText, REASONS, tasksAddress, valueText } from './alerts';

interface AlertRowProps {
  project: string;
  alert: Alert;
  member: boolean;
}

/** One alert: what was measured, its tasks, what was sent, and its acknowledgement. */
export function AlertRow({ project, alert, member }: AlertRowProps) {
  const note = useMutation({
    mutationFn: () => acknowledge(project, alert.alert_id),
    onSuccess: () => queryClient.invalidateQueries({ queryKey: ['alerts', project] }),
  });
  const open = alert.resolved_at_us === null;
  const known = alert.acknowledged_at_us ?? note.data?.acknowledged_at_us ?? null;
  return (
    <li className="alert-row" data-open={open || undefined}>
      <div className="alert-head">
        <Icon name={open ? 'status-error' : 'status-ok'} />
        <span className="visually-hidden">{open ? 'Open:' : 'Ended:'}</span>
        <strong className="alert-name" dir="auto">
          {alert.name}
        </strong>
        <span>{valueText(alert.measure, alert.value)}</span>
        <When us={alert.raised_at_us} className="quiet" />
        {member && known === null ? (
          <button
            type="button"
            className="button small alert-note"
            aria-label={`Acknowledge ${alert.name}`}
            disabled={note.isPending}
            onClick={() => note.mutate()}
          >
            Acknowledge
          </button>
        ) : null}
      </div>
      <p className="quiet alert-facts">
        Threshold {valueText(alert.measure, alert.threshold)}.{' '}
        <Link to={tasksAddress(project, alert)}>
          Tasks from {dateTime(alert.window_start_us)} to {dateTime(alert.window_end_us)}
        </Link>
        {alert.q ? (
          <>
            {' '}
            of <code>{alert.q}</code>
          </>
        ) : null}
        {alert.resolved_at_us === null ? null : (
          <>
            . Ended <When us={alert.resolved_at_us} />: {REASONS[alert.resolved_reason ?? ''] ?? 'unknown reason'}
          </>
        )}
        {known === null ? null : (
          <>
            . Acknowledged <When us={known} />
          </>
        )}
      </p>
      {alert.task_ids.length > 0 ? (
        <p className="quiet alert-facts">
          Caused by{' '}
          {alert.task_ids.map((task) => (
            <Link key={task} className="mono alert-task" to={`/projects/${project}/tasks/${task}`} title={task}>
              {task.slice(0, 8)}
            </Link>
          ))}
        </p>
      ) : null}
      {alert.deliveries.map((delivery) => (
        <p key={delivery.event_id} className="quiet alert-facts" data-failed={delivery.state === 'failed' || undefined}>
          {deliveryText(delivery)}
          {delivery.next_attempt_at_us === null || delivery.attempts === 0 ? null : (
            <> Next attempt {dateTime(delivery.next_attempt_at_us)}.</>
          )}
        </p>
      ))}
      {note.error ? <p className="field-error">{asApiError(note.error).message}</p> : null}
    </li>
  );
}
