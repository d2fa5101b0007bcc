import { type FormEvent, useId, useState } from 'react';
import { asApiError } from '../../api/problems';
import { useKeys } from '../../app/keys';
import { usePreference } from '../../app/preferences';
import { Segmented } from '../../ui/controls';
import { Icon } from '../../ui/Icon';
import { COMMENT_MAX, NAME_MAX, type ScoreDraft, type ScoreKind, scoreValue } from './scores';
import { sendScore } from './useScores';

const KINDS = [
  { value: 'thumb', label: 'Thumb' },
  { value: 'number', label: 'Number' },
  { value: 'label', label: 'Label' },
  { value: 'note', label: 'Note' },
] as const;

const THUMBS = [
  ['up', 'Thumbs up', 'thumb-up', '+'],
  ['down', 'Thumbs down', 'thumb-down', '-'],
] as const;

interface ScoreFormProps {
  project: string;
  task: string;
  step: string | null;
  /** names of the scores that there are: the same thing should not be scored under two names */
  known: readonly string[];
}

/** One score at a time: a thumb sends itself, the others by Enter. The kind and the name are remembered for the next task. */
export function ScoreForm({ project, task, step, known }: ScoreFormProps) {
  const [kind, setKind] = usePreference('score.kind', 'thumb');
  const [name, setName] = usePreference('score.name', '');
  const [value, setValue] = useState('');
  const [comment, setComment] = useState('');
  const [problem, setProblem] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);
  const id = useId();
  const isThumb = kind === 'thumb';
  const send = async (draft: ScoreDraft) => {
    const given = scoreValue(draft);
    if (typeof given === 'string') {
      setProblem(given);
      return;
    }
    setBusy(true);
    setProblem(null);
    try {
      await sendScore({ project, task, step }, given);
      setValue('');
      setComment('');
    } catch (thrown) {
      setProblem(asApiError(thrown).message);
    } finally {
      setBusy(false);
    }
  };
  const draft = { kind: kind as ScoreKind, name, value, comment };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!busy && !isThumb) void send(draft);
  };
  const thumb = (direction: 'up' | 'down') => void send({ kind: 'thumb', name: '', value: direction, comment });
  useKeys({
    '+': () => thumb('up'),
    '-': () => thumb('down'),
    s: () => document.querySelector<HTMLElement>('.score-form :is(input, textarea)')?.focus(),
  });
  return (
    <form className="score-form" onSubmit={submit} aria-label={step === null ? 'Score this task' : 'Score this step'}>
      <div className="score-row">
        <Segmented
          small
          label="Kind of score"
          value={kind as ScoreKind}
          options={KINDS}
          onChange={(next) => {
            setKind(next);
            setValue('');
            setProblem(null);
          }}
        />
        {isThumb
          ? THUMBS.map(([direction, label, icon, key]) => (
              <button
                key={direction}
                type="button"
                className="button small score-thumb"
                disabled={busy}
                aria-label={label}
                title={`${label} (${key})`}
                onClick={() => thumb(direction)}
              >
                <Icon name={icon} />
              </button>
            ))
          : null}
      </div>
      {kind === 'number' || kind === 'label' ? (
        <div className="score-row">
          <input
            className="input"
            aria-label="Name of the score"
            placeholder="Name, such as helpful"
            maxLength={NAME_MAX}
            list={`${id}-names`}
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
          <datalist id={`${id}-names`}>
            {known.map((one) => (
              <option key={one} value={one} />
            ))}
          </datalist>
          <input
            className="input score-typed"
            aria-label={kind === 'number' ? 'Number' : 'Label'}
            placeholder={kind === 'number' ? '0.8' : 'good'}
            inputMode={kind === 'number' ? 'decimal' : 'text'}
            maxLength={NAME_MAX}
            value={value}
            onChange={(event) => setValue(event.target.value)}
          />
        </div>
      ) : null}
      <div className="score-row">
        <textarea
          className="input score-note"
          aria-label={kind === 'note' ? 'Note' : 'Comment'}
          placeholder={kind === 'note' ? 'Note' : 'Comment (optional)'}
          rows={1}
          maxLength={COMMENT_MAX}
          dir="auto"
          value={comment}
          onChange={(event) => setComment(event.target.value)}
          onKeyDown={(event) => {
            if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return;
            event.preventDefault();
            event.currentTarget.form?.requestSubmit();
          }}
        />
        {isThumb ? null : (
          <button type="submit" className="button" disabled={busy}>
            {kind === 'note' ? 'Add note' : 'Add score'}
          </button>
        )}
      </div>
      {problem === null ? null : (
        <p className="score-problem" role="alert">
          {problem}
        </p>
      )}
    </form>
  );
}
