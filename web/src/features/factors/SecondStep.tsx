import { useState } from 'react';
import { answerWithPasskey, passkeysSupported } from '../../api/passkeys';
import { type ApiError, asApiError } from '../../api/problems';
import { session } from '../../api/session';
import type { SecondFactorNeeded } from '../../api/types';
import { type Field, FieldForm } from '../../ui/FieldForm';
import { Icon } from '../../ui/Icon';
import './factors.css';

export const CODE_FIELD: Field = {
  name: 'code',
  label: 'Code',
  autoComplete: 'one-time-code',
  hint: 'Six digits from your authenticator app, or a recovery code',
};

export const PASSWORD_FIELD: Field = {
  name: 'password',
  label: 'Current password',
  type: 'password',
  autoComplete: 'current-password',
};

interface PasskeyButtonProps {
  action: string;
  busy: boolean;
  primary?: boolean;
  onUse: () => void;
}

export function PasskeyButton({ action, busy, primary = false, onUse }: PasskeyButtonProps) {
  return (
    <button type="button" className={primary ? 'button primary wide' : 'button wide'} disabled={busy} onClick={onUse}>
      <Icon name="key" /> {action}
    </button>
  );
}

interface SecondStepProps {
  needed: SecondFactorNeeded;
  onDone: () => void;
  onError: (error: ApiError | null) => void;
}

/** The second step of signing in: a code, or a passkey. */
export function SecondStep({ needed, onDone, onError }: SecondStepProps) {
  const [busy, setBusy] = useState(false);
  const byCode = needed.methods.includes('totp') || needed.methods.includes('recovery_code');
  const byPasskey = needed.passkey !== null && passkeysSupported();
  const run = async (work: () => Promise<unknown>) => {
    setBusy(true);
    onError(null);
    try {
      await work();
      onDone();
    } catch (thrown) {
      onError(asApiError(thrown));
      setBusy(false);
    }
  };
  const token = needed.second_factor_token;
  const passkey = async () => {
    if (needed.passkey) await session.secondStep(token, { credential: await answerWithPasskey(needed.passkey) });
  };
  return (
    <div className="second-step">
      {byPasskey ? <PasskeyButton primary busy={busy} action="Use a passkey" onUse={() => run(passkey)} /> : null}
      {byCode ? (
        <FieldForm
          focused={!byPasskey}
          busy={busy}
          secondary={byPasskey}
          action="Continue"
          fields={[CODE_FIELD]}
          onSubmit={(values) => run(() => session.secondStep(token, { code: values.code ?? '' }))}
          errors={{}}
        />
      ) : null}
    </div>
  );
}
