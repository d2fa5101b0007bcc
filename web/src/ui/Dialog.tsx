import { type ReactNode, type RefObject, useEffect, useId } from 'react';
import { Icon } from './Icon';

interface DialogProps {
  /** closed by its `close()`: the callbacks of the page need it too */
  dialog: RefObject<HTMLDialogElement | null>;
  title: string;
  narrow?: boolean;
  onClose: () => void;
  children: ReactNode;
}

/** A modal dialog with its title and a button that closes it; open from the start. */
export function Dialog({ dialog, title, narrow = false, onClose, children }: DialogProps) {
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    if (element && !element.open) element.showModal();
  }, [dialog]);
  return (
    <dialog ref={dialog} className={narrow ? 'dialog narrow' : 'dialog'} onClose={onClose} aria-labelledby={id}>
      <div className="dialog-head">
        <h2 id={id}>{title}</h2>
        <button
          type="button"
          className="button plain square"
          aria-label="Close"
          onClick={() => dialog.current?.close()}
        >
          <Icon name="close" />
        </button>
      </div>
      {children}
    </dialog>
  );
}
