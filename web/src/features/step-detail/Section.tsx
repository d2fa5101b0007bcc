import type { ReactNode } from 'react';
import { usePreference } from '../../app/preferences';
import { Icon } from '../../ui/Icon';

interface SectionProps {
  title: string;
  /** collapsed or not is remembered for this kind of step */
  memory: string;
  startsCollapsed?: boolean;
  summary?: ReactNode;
  actions?: ReactNode;
  children: ReactNode;
}

/** A part of the detail under a sticky heading; whether it is collapsed is remembered. */
export function Section({ title, memory, startsCollapsed = false, summary, actions, children }: SectionProps) {
  const [state, setState] = usePreference(`section.${memory}`, startsCollapsed ? 'collapsed' : 'open');
  const expanded = state === 'open';
  return (
    <section className="detail-section">
      <div className="section-head">
        <h3>
          <button
            type="button"
            className="section-twist"
            aria-expanded={expanded}
            onClick={() => setState(expanded ? 'collapsed' : 'open')}
          >
            <Icon name="chevron" className={expanded ? 'turned' : ''} />
            {title}
          </button>
        </h3>
        <span className="section-summary cut">{summary}</span>
        {expanded ? actions : null}
      </div>
      {expanded ? <div className="section-body">{children}</div> : null}
    </section>
  );
}
