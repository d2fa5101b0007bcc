import { useMutation, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { asApiError } from '../../api/problems';
import { deadLetterQuery, deadLettersQuery, queryClient, replayDeadLetter } from '../../api/queries';
import type { DeadLetter } from '../../api/types';
import { Link } from '../../app/router';
import { CopyButton, CopyId, ErrorStrip, toast, When } from '../../ui/controls';
import { bytes } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { hexLines, readable, reasonText } from './dead-letters';

interface RowProps {
  project: string;
  letter: DeadLetter;
  mayReplay: boolean;
}

/** One letter; opens to its bytes, which are fetched only then. */
export function DeadLetterRow({ project, letter, mayReplay }: RowProps) {
  const [open, setOpen] = useState(false);
  const replay = useMutation({
    mutationFn: () => replayDeadLetter(project, letter.place),
    onSuccess: () => {
      toast('Sent again');
      return queryClient.invalidateQueries({ queryKey: deadLettersQuery(project).queryKey });
    },
  });
  return (
    <>
      <tr>
        <td className="twist-cell">
          <button
            type="button"
            className="row-twist letter-twist"
            aria-expanded={open}
            aria-label={`Bytes of ${letter.place}`}
            onClick={() => setOpen(!open)}
          >
            <Icon name="chevron" className={open ? 'turned' : ''} />
          </button>
        </td>
        <td className="letter-why">
          <strong>{reasonText(letter.reason)}</strong>
          {letter.detail ? <p className="quiet mono">{letter.detail}</p> : null}
        </td>
        <td>
          {letter.task_id ? (
            <Link className="mono" to={`/projects/${project}/tasks/${letter.task_id}`} title={letter.task_id}>
              {letter.task_id.slice(0, 8)}…
            </Link>
          ) : (
            <span className="faint">unknown</span>
          )}
        </td>
        <td>
          <CopyId id={letter.place} what="the position in the log" shown={32} />
        </td>
        <td className="num quiet">{bytes(letter.bytes)}</td>
        <td className="quiet">
          <When us={letter.at_us} />
        </td>
        <td className="num">
          {letter.replayed_at_us !== null ? (
            <span className="faint">
              replayed <When us={letter.replayed_at_us} />
            </span>
          ) : mayReplay ? (
            <button
              type="button"
              className="button small"
              disabled={replay.isPending}
              title="Send these bytes again. If they still cannot be stored, they return to this list"
              onClick={() => replay.mutate()}
            >
              <Icon name="replay" /> Replay
            </button>
          ) : null}
        </td>
      </tr>
      {replay.error ? (
        <tr className="letter-more">
          <td colSpan={7}>
            <ErrorStrip error={asApiError(replay.error)} doing="Cannot replay" />
          </td>
        </tr>
      ) : null}
      {open ? (
        <tr className="letter-more">
          <td />
          <td colSpan={6}>
            <Bytes project={project} letter={letter} />
          </td>
        </tr>
      ) : null}
    </>
  );
}

function Bytes({ project, letter }: { project: string; letter: DeadLetter }) {
  const whole = useQuery(deadLetterQuery(project, letter.place));
  if (whole.error) {
    return <ErrorStrip error={asApiError(whole.error)} doing="Cannot load the bytes" onRetry={() => whole.refetch()} />;
  }
  if (!whole.data) return <div className="ghost" style={{ height: 40 }} />;
  const { text, base64 } = whole.data;
  const raw = text ?? base64 ?? '';
  const shown = text === null ? hexLines(base64 ?? '') : readable(text);
  if (raw === '') return <p className="quiet">The record was empty.</p>;
  return (
    <div className="letter-bytes">
      <div className="letter-head">
        <span className="faint">
          {letter.projection} · {text === null ? 'not UTF-8, first bytes' : 'as sent'} · {bytes(letter.bytes)}
        </span>
        <CopyButton text={raw} what={text === null ? 'the bytes (base64)' : 'the bytes'} />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, and the keyboard must be able to scroll it */}
      <pre className="code-block" tabIndex={0}>
        {shown}
      </pre>
    </div>
  );
}
