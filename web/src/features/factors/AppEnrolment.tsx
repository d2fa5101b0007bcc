import { useMutation } from '@tanstack/react-query';
import { useEffect } from 'react';
import { beginApp, confirmApp } from '../../api/people';
import { asApiError } from '../../api/problems';
import { CopyButton, ErrorStrip } from '../../ui/controls';
import { FieldForm } from '../../ui/FieldForm';
import { pathOf } from './picture';

/** Quiet modules around a QR code, which readers need. */
const QUIET = 4;

interface AppEnrolmentProps {
  onAdded: (codes: string[]) => void;
  onCancel: () => void;
}

/** Add an authenticator app: read the picture, then type a code that the app shows. */
export function AppEnrolment({ onAdded, onCancel }: AppEnrolmentProps) {
  const begin = useMutation({ mutationFn: beginApp });
  const { mutate } = begin;
  useEffect(() => mutate(), [mutate]);
  const confirm = useMutation({
    mutationFn: (fields: Record<string, string>) => confirmApp(fields.code ?? ''),
    onSuccess: (made) => onAdded(made.codes),
  });
  if (begin.error) {
    return <ErrorStrip error={asApiError(begin.error)} doing="Cannot add an app" onRetry={() => mutate()} />;
  }
  if (!begin.data) return <div className="loading-bar" />;
  const { picture, secret, address } = begin.data;
  const size = picture.length + 2 * QUIET;
  return (
    <div className="app-enrolment">
      <svg
        className="app-picture"
        viewBox={`${-QUIET} ${-QUIET} ${size} ${size}`}
        role="img"
        aria-label="QR code for the authenticator app"
        shapeRendering="crispEdges"
      >
        <rect className="app-picture-paper" x={-QUIET} y={-QUIET} width={size} height={size} />
        <path className="app-picture-ink" d={pathOf(picture)} />
      </svg>
      <ol>
        <li>
          Read the picture with your authenticator app, <a href={address}>open the app on this device</a>, or type the
          secret:{' '}
          <span className="app-secret">
            {secret} <CopyButton text={secret} what="the secret" />
          </span>
        </li>
        <li>
          Enter the code that the app shows.
          <FieldForm
            busy={confirm.isPending}
            action="Add the app"
            fields={[{ name: 'code', label: 'Code', autoComplete: 'one-time-code', inputMode: 'numeric' }]}
            onSubmit={(fields) => confirm.mutate(fields)}
            errors={confirm.error ? { code: asApiError(confirm.error).message } : {}}
          />
        </li>
      </ol>
      <button type="button" className="button plain" onClick={onCancel}>
        Cancel
      </button>
    </div>
  );
}
