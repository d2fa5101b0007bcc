import { createContext, type ReactNode, useContext, useState } from 'react';
import { Icon } from '../../ui/Icon';

/** What is unfolded, by name: a turn that leaves the screen is not drawn, and is as it was when it is drawn again. */
export const Unfolded = createContext<Set<string>>(new Set());

interface FoldProps {
  /** unique in the conversation */
  name: string;
  label: ReactNode;
  /** beside the label, outside of its button */
  more?: ReactNode;
  children: ReactNode;
}

/** One line that unfolds. */
export function Fold({ name, label, more, children }: FoldProps) {
  const unfolded = useContext(Unfolded);
  const [shown, setShown] = useState(unfolded.has(name));
  const toggle = () => {
    if (shown) unfolded.delete(name);
    else unfolded.add(name);
    setShown(!shown);
  };
  return (
    <div className="turn-fold">
      <p className="turn-fold-head">
        <button type="button" className="turn-fold-button" aria-expanded={shown} onClick={toggle}>
          <Icon name="chevron" className={shown ? 'turned' : ''} /> {label}
        </button>
        {more}
      </p>
      {shown ? children : null}
    </div>
  );
}
