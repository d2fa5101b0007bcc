import { useQuery } from '@tanstack/react-query';
import { useRef, useState, useSyncExternalStore } from 'react';
import { passkeysSupported } from '../api/passkeys';
import { proveByCode, proveByPasskey, proveByPassword } from '../api/people';
import { type ApiError, asApiError } from '../api/problems';
import { type ProofRequest, proof } from '../api/proof';
import { identitiesQuery } from '../api/providers';
import { ProviderButtons } from '../features/factors/Providers';
import { CODE_FIELD, PASSWORD_FIELD, PasskeyButton } from '../features/factors/SecondStep';
import { Dialog } from '../ui/Dialog';
import { FieldForm } from '../ui/FieldForm';

/** The question of a dangerous action: who are you? The action continues once the person has confirmed it. */
export function ProofDialog() {
  const asked = useSyncExternalStore(proof.subscribe, proof.get);
  return asked ? <Question asked={asked} /> : null;
}

function Question({ asked }: { asked: ProofRequest }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError | null>(null);
  const proved = useRef(false);
  const byPassword = asked.methods.includes('password');
  const byCode = asked.methods.includes('totp') || asked.methods.includes('recovery_code');
  const byPasskey = asked.methods.includes('passkey') && passkeysSupported();
  const field = byPassword ? PASSWORD_FIELD : CODE_FIELD;

  const prove = async (work: () => Promise<void>) => {
    setBusy(true);
    setError(null);
    try {
      await work();
      proved.current = true;
      dialog.current?.close();
    } catch (thrown) {
      setError(asApiError(thrown));
      setBusy(false);
    }
  };
  return (
    <Dialog dialog={dialog} title="Confirm that it is you" narrow onClose={() => proof.settle(proved.current)}>
      <div className="dialog-body second-step">
        <p className="quiet">This action requires a confirmation. It is valid for five minutes in this session.</p>
        {byPasskey ? (
          <PasskeyButton primary busy={busy} action="Use a passkey" onUse={() => prove(proveByPasskey)} />
        ) : null}
        {asked.methods.includes('passkey') && !byPasskey && !byCode ? (
          <p className="quiet">This browser cannot use passkeys. Open AMS in one that can.</p>
        ) : null}
        {byPassword || byCode ? (
          <FieldForm
            focused={!byPasskey}
            busy={busy}
            secondary={byPasskey}
            action="Confirm"
            fields={[field]}
            onSubmit={(values) =>
              prove(() => (byPassword ? proveByPassword(values.password ?? '') : proveByCode(values.code ?? '')))
            }
            errors={error ? { [field.name]: error.message } : {}}
          />
        ) : error ? (
          <p className="field-error" role="alert">
            {error.message}
          </p>
        ) : null}
        {asked.methods.includes('provider') ? <ByProvider /> : null}
      </div>
    </Dialog>
  );
}

/** Signing in again at a linked provider: the browser leaves, and the person repeats the action afterwards. */
function ByProvider() {
  const { data } = useQuery(identitiesQuery);
  const linked = (data?.items ?? []).flatMap(({ provider, name }) => (provider ? [{ id: provider, name }] : []));
  return (
    <ProviderButtons
      primary
      providers={linked}
      purpose="proof"
      next={location.pathname + location.search}
      verb="Sign in again with"
    />
  );
}
