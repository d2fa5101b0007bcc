import { useMutation, useQuery } from '@tanstack/react-query';
import { type FormEvent, useId, useRef, useState } from 'react';
import { asApiError } from '../../api/problems';
import { scoreNamesQuery } from '../../api/queries';
import { usePreference } from '../../app/preferences';
import { ErrorStrip } from '../../ui/controls';
import { Dialog } from '../../ui/Dialog';
import { exact, plural } from '../../ui/format';
import { NAME_MAX, scoreValue } from '../scores/scores';
import { sendScore } from '../scores/useScores';
import { oneByOne } from './one-by-one';

interface LabelTasksProps {
  project: string;
  tasks: readonly string[];
  onLabelled: (name: string, label: string) => void;
  onClose: () => void;
}

/** Gives selected tasks the same label: a score of each, so it is in the log, and in the filter. */
export function LabelTasks({ project, tasks, onLabelled, onClose }: LabelTasksProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  const known = useQuery(scoreNamesQuery(project)).data?.items ?? [];
  const [name, setName] = usePreference('label.name', '');
  const [label, setLabel] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const [left, setLeft] = useState(tasks);
  const send = useMutation({
    mutationFn: async () => {
      const value = scoreValue({ kind: 'label', name, value: label, comment: '' });
      if (typeof value === 'string') return value;
      await oneByOne(left, (task) => sendScore({ project, task, step: null }, value), setLeft);
      onLabelled(value.name, label.trim());
      return null;
    },
    onSuccess: setProblem,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!send.isPending) send.mutate();
  };
  const begun = left.length < tasks.length;
  return (
    <Dialog dialog={dialog} title={`Label ${plural(tasks.length, 'task')}`} narrow onClose={onClose}>
      <form className="dialog-body" onSubmit={submit}>
        <label className="field">
          <span>Name</span>
          <input
            className="input"
            value={name}
            maxLength={NAME_MAX}
            list={`${id}-names`}
            placeholder="dataset"
            // the tasks that have it already keep it
            disabled={begun}
            onChange={(event) => setName(event.target.value)}
          />
          <datalist id={`${id}-names`}>
            {known.map((one) => (
              <option key={one.name} value={one.name} />
            ))}
          </datalist>
        </label>
        <label className="field">
          <span>Label</span>
          <input
            className="input"
            value={label}
            maxLength={NAME_MAX}
            placeholder="regression"
            aria-describedby={`${id}-hint`}
            disabled={begun}
            onChange={(event) => setLabel(event.target.value)}
          />
        </label>
        <p id={`${id}-hint`} className="faint">
          It is a score of each task, and replaces your own one of this name. Find the tasks with{' '}
          <code>
            score.{name.trim() || 'dataset'}:{label.trim() || 'regression'}
          </code>
          .
        </p>
        {problem ? (
          <p className="score-problem" role="alert">
            {problem}
          </p>
        ) : null}
        {begun ? (
          <p role="status" className="tnum">
            {exact(tasks.length - left.length)} of {exact(tasks.length)} labelled
          </p>
        ) : null}
        {send.error ? (
          <ErrorStrip error={asApiError(send.error)} doing={`Cannot label ${plural(left.length, 'task')}`} />
        ) : null}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" className="button primary" disabled={send.isPending}>
            Add label
          </button>
        </div>
      </form>
    </Dialog>
  );
}
