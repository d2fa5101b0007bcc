import { useMutation } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { asApiError } from '../../api/problems';
import { queryClient } from '../../api/queries';
import { createShareLink, shareLinksQuery } from '../../api/share-links';
import { Link } from '../../app/router';
import { CopyButton, ErrorStrip } from '../../ui/controls';
import { Dialog } from '../../ui/Dialog';
import { microsecondsOf, moment, plural } from '../../ui/format';
import { SHOWN } from './shows';
import './share.css';

const DAYS = [1, 7, 30, 90];
const DAYS_DEFAULT = 7;

interface ShareDialogProps {
  project: string;
  task: string;
  name: string;
  onClose: () => void;
}

/** States what visitors see, then creates a public link to a task. */
export function ShareDialog({ project, task, name, onClose }: ShareDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [payloads, setPayloads] = useState(false);
  const [days, setDays] = useState(DAYS_DEFAULT);
  const create = useMutation({
    mutationFn: () => createShareLink(project, { task_id: task, payloads, expires_in_days: days }),
    onSuccess: () => queryClient.invalidateQueries(shareLinksQuery(project)),
  });
  return (
    <Dialog dialog={dialog} title="Share this task by a public link" narrow onClose={onClose}>
      <div className="dialog-body">
        {name ? (
          <p className="dialog-name" dir="auto">
            {name}
          </p>
        ) : null}
        {create.data ? (
          <div className="key-made share-made" role="status">
            <p>
              Copy this link now. It is not shown again, and works until{' '}
              {moment(microsecondsOf(create.data.expires_at) ?? 0)}.
            </p>
            <code>{create.data.link}</code>
            <CopyButton text={create.data.link} what="the link" label="Copy" />
          </div>
        ) : (
          <>
            <p>
              Anyone who has the link can read this task without an account, also while it runs, until the link expires
              or is revoked.
            </p>
            <Shows payloads={payloads} />
            <label className="share-option">
              <input type="checkbox" checked={payloads} onChange={(event) => setPayloads(event.target.checked)} />
              <span>
                Show what the steps contain
                <span className="quiet">Check that inputs and outputs hold nothing confidential.</span>
              </span>
            </label>
            <label className="share-days">
              Expires after{' '}
              <select className="input" value={days} onChange={(event) => setDays(Number(event.target.value))}>
                {DAYS.map((value) => (
                  <option key={value} value={value}>
                    {plural(value, 'day')}
                  </option>
                ))}
              </select>
            </label>
          </>
        )}
        {create.error ? <ErrorStrip error={asApiError(create.error)} doing="Cannot create the link" /> : null}
        <div className="dialog-actions">
          <Link to={`/projects/${project}/links`} className="share-all">
            All public links
          </Link>
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            {create.data ? 'Done' : 'Cancel'}
          </button>
          {create.data ? null : (
            <button
              type="button"
              className="button primary"
              disabled={create.isPending}
              onClick={() => create.mutate()}
            >
              Create link
            </button>
          )}
        </div>
      </div>
    </Dialog>
  );
}

function Shows({ payloads }: { payloads: boolean }) {
  return (
    <dl className="share-shows" aria-live="polite">
      <div>
        <dt>Visitors see</dt>
        <dd>{SHOWN.always}</dd>
        {payloads ? <dd>{SHOWN.payloads}</dd> : null}
      </div>
      <div>
        <dt>They do not see</dt>
        {payloads ? null : <dd>{SHOWN.payloads}</dd>}
        <dd>{SHOWN.never}</dd>
      </div>
    </dl>
  );
}
