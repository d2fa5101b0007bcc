import { useMemo, useState } from 'react';
import type { Failure } from '../../api/types';
import { CopyButton } from '../../ui/controls';
import { plural } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { groupStack, type StackGroup } from './stack';
import { LongText } from './Text';

interface ErrorCardProps {
  /** where there are several, which one it is */
  label?: string;
  error: Failure;
  stack: string | null;
}

/** The error: type, message and stack with its lines; frames of libraries are collapsed. */
export function ErrorCard({ error, stack, label = 'Error' }: ErrorCardProps) {
  const groups = useMemo(() => (stack ? groupStack(stack) : []), [stack]);
  return (
    <section className="error-card" aria-label={label}>
      <header>
        <svg className="icon mark" data-status="error" aria-hidden="true">
          <use href="#i-status-error" />
        </svg>
        <span className="error-type mono">{error.type || 'Error'}</span>
        <CopyButton text={[error.type, error.message, stack].filter(Boolean).join('\n')} what="the error" />
      </header>
      {error.message ? (
        <p dir="auto" className="error-message">
          {error.message}
        </p>
      ) : null}
      {groups.length > 0 ? (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
        <div className="error-stack" tabIndex={0}>
          {groups.map((group, index) => (
            <Frames key={index} group={group} />
          ))}
        </div>
      ) : null}
    </section>
  );
}

function Frames({ group }: { group: StackGroup }) {
  const [shown, setShown] = useState(!group.library);
  if (!shown) {
    return (
      <button type="button" className="stack-library" onClick={() => setShown(true)}>
        <Icon name="chevron" /> {plural(group.frames, 'library frame')}
      </button>
    );
  }
  return (
    <pre className={group.library ? 'faint' : ''}>
      <LongText text={group.lines.join('\n')} mono />
    </pre>
  );
}
