import { useEffect, useRef, useState } from 'react';
import { type ApiError, asApiError } from '../api/problems';
import { answerOf, finishOwn, identitiesQuery, signInWith, type Trip, takeTrip } from '../api/providers';
import { queryClient } from '../api/queries';
import { type ProviderAnswer, session } from '../api/session';
import type { SecondFactorNeeded } from '../api/types';
import { Link, navigate } from '../app/router';
import { SecondStep } from '../features/factors/SecondStep';
import { toast } from '../ui/controls';
import { AccountCard } from './account';

/** `/signin/callback/PROVIDER`: a provider sends the browser here. The answer is in the address, and leaves it at once. */
export function ProviderCallback({ provider }: { provider: string }) {
  const [error, setError] = useState<ApiError | null>(null);
  const [needed, setNeeded] = useState<SecondFactorNeeded | null>(null);
  const [trip, setTrip] = useState<Trip | null>(null);
  const read = useRef(false);

  useEffect(() => {
    // an answer works once: not a second time when the effect runs again
    if (read.current) return;
    read.current = true;
    const answer = answerOf(provider, new URLSearchParams(location.search));
    history.replaceState(null, '', location.pathname);
    const taken = takeTrip();
    setTrip(taken);
    complete(taken, answer).then(setNeeded, (thrown: unknown) => setError(asApiError(thrown)));
  }, [provider]);

  if (needed && trip) {
    return (
      <AccountCard title="Second step" error={error} sentence={error?.message ?? null}>
        <SecondStep needed={needed} onDone={() => navigate(trip.next, { replace: true })} onError={setError} />
      </AccountCard>
    );
  }
  const back = trip && trip.purpose !== 'sign-in' ? trip.next : '/signin';
  return (
    <AccountCard title="Sign in" error={error} sentence={error?.message ?? null}>
      {error ? (
        <p className="quiet">
          <Link to={back}>{back === '/signin' ? 'Back to sign in' : 'Back'}</Link>
        </p>
      ) : (
        <div className="loading-bar" />
      )}
    </AccountCard>
  );
}

async function complete(trip: Trip, answer: ProviderAnswer): Promise<SecondFactorNeeded | null> {
  if (trip.purpose === 'sign-in') {
    const needed = await signInWith(answer).catch(async (thrown: unknown) => {
      // the page was opened again: a person who is signed in already continues
      if (asApiError(thrown).code !== 'sign_in_expired') throw thrown;
      if ((await session.refresh()).state !== 'in') throw thrown;
      return null;
    });
    if (needed) return needed;
  } else {
    const { linked } = await finishOwn(answer);
    await queryClient.invalidateQueries(identitiesQuery);
    toast(linked ? `${linked.name} linked` : 'Confirmed. Repeat what you were doing within five minutes.');
  }
  navigate(trip.next, { replace: true });
  return null;
}
