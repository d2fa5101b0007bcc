import type { Step } from '../../api/types';
import { Ticking } from '../../ui/controls';
import { clock } from '../../ui/format';

/** What a waiting step asks of a person, and since when. */
export function WaitCard({ step }: { step: Step }) {
  const since = step.waiting_since_us;
  return (
    <section className="wait-card" aria-label={`${step.name || 'Step'} waits`}>
      <svg className="icon mark" data-status="waiting" aria-hidden="true">
        <use href="#i-status-waiting" />
      </svg>
      <p className="wait-words" dir="auto">
        {step.waiting_for ? `Waits ${step.waiting_for}` : 'Waits for a person'}
      </p>
      {since === null ? null : (
        <p className="wait-since tnum">
          since {clock(since, 0)} · <Ticking sinceUs={since} />
        </p>
      )}
    </section>
  );
}
