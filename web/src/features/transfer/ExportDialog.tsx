import { useEffect, useRef, useState } from 'react';
import { type ApiError, asApiError } from '../../api/problems';
import { ErrorStrip } from '../../ui/controls';
import { Dialog } from '../../ui/Dialog';
import { exact, plural } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { bytesText } from './bytes';
import { type ExportFormat, type ExportProgress, readExport, saveFile } from './transfer';
import './transfer.css';

const FORMATS: readonly { value: ExportFormat; label: string; about: string }[] = [
  { value: 'ams', label: 'AMS archive', about: 'Can be imported again, here or in another installation.' },
  { value: 'jsonl', label: 'JSON Lines', about: 'One object a line, for notebooks and scripts. Cannot be imported.' },
  { value: 'otlp', label: 'OpenTelemetry (OTLP)', about: 'Spans in OTLP/JSON, for other tools.' },
];

interface ExportDialogProps {
  project: string;
  tasks: readonly string[];
  name: string;
  onClose: () => void;
}

/** Chooses a format and saves the file, with progress. */
export function ExportDialog({ project, tasks, name, onClose }: ExportDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [format, setFormat] = useState<ExportFormat>('ams');
  const [payloads, setPayloads] = useState(true);
  const [progress, setProgress] = useState<ExportProgress | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const running = useRef<AbortController | null>(null);
  useEffect(() => () => running.current?.abort(), []);

  const start = async () => {
    const abort = new AbortController();
    running.current = abort;
    setError(null);
    setProgress({ bytes: 0, steps: 0, stepsExpected: 0 });
    try {
      const { blob, name: fileName } = await readExport(project, tasks, format, payloads, abort.signal, setProgress);
      saveFile(blob, fileName);
      dialog.current?.close();
    } catch (thrown) {
      if (abort.signal.aborted) return;
      setProgress(null);
      setError(asApiError(thrown));
    }
  };

  return (
    <Dialog
      dialog={dialog}
      title={tasks.length === 1 ? 'Export this task' : `Export ${plural(tasks.length, 'task')}`}
      narrow
      onClose={onClose}
    >
      <div className="dialog-body">
        {name ? <p className="dialog-name">{name}</p> : null}
        <fieldset className="transfer-formats" disabled={progress !== null}>
          <legend className="visually-hidden">Format</legend>
          {FORMATS.map(({ value, label, about }) => (
            <label key={value}>
              <input
                type="radio"
                name="format"
                value={value}
                checked={format === value}
                onChange={() => setFormat(value)}
              />
              <span>
                {label}
                <span className="quiet">{about}</span>
              </span>
            </label>
          ))}
        </fieldset>
        <label className="transfer-option">
          <input
            type="checkbox"
            checked={payloads}
            disabled={progress !== null}
            onChange={(event) => setPayloads(event.target.checked)}
          />
          <span>
            Include inputs, outputs and media
            <span className="quiet">Names, previews and error messages are included either way.</span>
          </span>
        </label>
        {progress ? (
          <div className="transfer-progress" role="status">
            <progress
              aria-label="Export"
              max={Math.max(1, progress.stepsExpected)}
              value={progress.stepsExpected ? progress.steps : undefined}
            />
            <span className="tnum">
              {exact(progress.steps)} of {plural(progress.stepsExpected, 'step')} · {bytesText(progress.bytes)}
            </span>
          </div>
        ) : null}
        {error ? <ErrorStrip error={error} doing="Cannot export" /> : null}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="button" className="button primary" disabled={progress !== null} onClick={() => void start()}>
            <Icon name="download" /> Export
          </button>
        </div>
      </div>
    </Dialog>
  );
}
