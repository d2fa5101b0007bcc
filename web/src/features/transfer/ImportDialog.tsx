import { useEffect, useRef, useState } from 'react';
import { type ApiError, asApiError } from '../../api/problems';
import { Link } from '../../app/router';
import { ErrorStrip } from '../../ui/controls';
import { Dialog } from '../../ui/Dialog';
import { exact, plural } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { bytesText } from './bytes';
import { copyWord, FAULTS_SHOWN, type ImportState, importFile } from './transfer';
import './transfer.css';

const LINKS_MAX = 5;

interface ImportDialogProps {
  project: string;
  file: File;
  onClose: () => void;
}

/** Asks how a dropped file is imported, sends it in parts, and says what came of it. */
export function ImportDialog({ project, file, onClose }: ImportDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [copy, setCopy] = useState(false);
  const [state, setState] = useState<ImportState | null>(null);
  const [phase, setPhase] = useState<'asking' | 'sending' | 'done'>('asking');
  const [error, setError] = useState<ApiError | null>(null);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);

  const start = async () => {
    const abort = new AbortController();
    running.current = abort;
    setError(null);
    setPhase('sending');
    try {
      await importFile(project, file, copy ? copyWord() : null, abort.signal, setState);
      setPhase('done');
    } catch (thrown) {
      if (abort.signal.aborted) return;
      setPhase('asking');
      setError(asApiError(thrown));
    }
  };

  return (
    <Dialog dialog={dialog} title="Import a file" narrow onClose={onClose}>
      <div className="dialog-body">
        <p className="dialog-name">
          {file.name} <span className="quiet tnum">{bytesText(file.size)}</span>
        </p>
        {phase === 'done' && state ? (
          <Result project={project} state={state} />
        ) : (
          <>
            <p className="quiet">
              AMS archives and OpenTelemetry files (OTLP/JSON) can be imported. Importing a file twice changes nothing.
            </p>
            <label className="transfer-option">
              <input
                type="checkbox"
                checked={copy}
                disabled={phase === 'sending'}
                onChange={(event) => setCopy(event.target.checked)}
              />
              <span>
                Import as copies
                <span className="quiet">
                  New task IDs, beside the originals. For tasks that were deleted in this project. Archives only.
                </span>
              </span>
            </label>
          </>
        )}
        {phase === 'sending' ? (
          <div className="transfer-progress" role="status">
            <progress aria-label="Import" max={Math.max(1, file.size)} value={state?.bytes ?? 0} />
            <span className="tnum">
              {bytesText(state?.bytes ?? 0)} of {bytesText(file.size)} · {plural(state?.accepted ?? 0, 'event')}
            </span>
          </div>
        ) : null}
        {error ? <ErrorStrip error={error} doing="Cannot import" /> : null}
        <Faults state={state} />
        <div className="dialog-actions">
          {phase === 'done' ? (
            <button type="button" className="button primary" onClick={() => dialog.current?.close()}>
              Done
            </button>
          ) : (
            <>
              <button type="button" className="button" onClick={() => dialog.current?.close()}>
                Cancel
              </button>
              <button
                type="button"
                className="button primary"
                disabled={phase === 'sending'}
                onClick={() => void start()}
              >
                <Icon name="upload" /> Import
              </button>
            </>
          )}
        </div>
      </div>
    </Dialog>
  );
}

function Result({ project, state }: { project: string; state: ImportState }) {
  return (
    <div className="transfer-result" role="status">
      <p>
        {state.tasks.length === 0
          ? 'Nothing was imported.'
          : `Imported ${plural(state.tasks.length, 'task')} with ${plural(state.accepted, 'event')}.`}
      </p>
      {state.archive && !state.ended ? (
        <p className="bad">The archive has no last line: the file was cut, and steps may be missing.</p>
      ) : null}
      <ul>
        {state.tasks.slice(0, LINKS_MAX).map((task) => (
          <li key={task}>
            <Link to={`/projects/${project}/tasks/${task}`}>Open {task.slice(0, 8)}…</Link>
          </li>
        ))}
      </ul>
    </div>
  );
}

function Faults({ state }: { state: ImportState | null }) {
  if (state === null || state.rejected === 0) return null;
  return (
    <div className="transfer-faults" role="alert">
      <p className="bad">{plural(state.rejected, 'line or event', 'lines or events')} could not be imported:</p>
      <ul>
        {state.faults.map((fault, index) => (
          <li key={`${fault.line}-${fault.event_id}-${index}`}>
            <span className="tnum">Line {exact(fault.line)}</span> {fault.detail || fault.code}{' '}
            <span className="quiet">{fault.code}</span>
          </li>
        ))}
      </ul>
      {state.rejected > FAULTS_SHOWN ? <p className="quiet">The first {FAULTS_SHOWN} are shown.</p> : null}
    </div>
  );
}
