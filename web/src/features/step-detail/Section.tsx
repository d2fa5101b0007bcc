import type { ReactNode } from 'react';
import { usePreference } from '../../app/preferences';
import { Icon } from '../../ui/Icon';

interface SectionProps {
  title: string;
  /** folded or not is remembered for this kind of step */
  memory: string;
  startsFolded?: boolean;
  summary?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

/** A part of the detail under a heading that stays in sight; folding it is remembered. */
export function Section({ title, memory, startsFolded = false, summary, actions, children }: SectionProps) {
  const [state, setState] = usePreference(`section.${memory}`, startsFolded ? 'folded' : 'open');
  const unfolded = state === 'open';
  return (
    <section className="detail-section">
      <div className="section-head">
        <h3>
          <button
            type="button"
            className="section-twist"
            aria-expanded={unfolded}
            onClick={() => setState(unfolded ? 'folded' : 'open')}
          >
            <Icon name="chevron" className={unfolded ? 'turned' : ''} />
            {title}
          </button>
        </h3>
        <span className="section-summary cut">{summary}</span>
        {unfolded ? actions : null}
      </div>
      {unfolded ? <div className="section-body">{children}</div> : null}
    </section>
  );
}
