import { useMutation } from '@tanstack/react-query';
import { useEffect, useRef } from 'react';
import { asApiError } from '../../api/problems';
import { deleteTask } from '../../api/queries';
import { ErrorStrip } from '../../ui/controls';
import { Icon } from '../../ui/Icon';

interface DeleteTaskProps {
  project: string;
  task: string;
  name: string;
  onDeleted: () => void;
  onClose: () => void;
}

/** Asks once more, and says what goes when. */
export function DeleteTask({ project, task, name, onDeleted, onClose }: DeleteTaskProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const remove = useMutation({ mutationFn: () => deleteTask(project, task), onSuccess: onDeleted });
  useEffect(() => {
    const element = dialog.current;
    if (element && !element.open) element.showModal();
  }, []);
  return (
    <dialog ref={dialog} className="dialog narrow" onClose={onClose} aria-labelledby="delete-title">
      <div className="dialog-head">
        <h2 id="delete-title">Delete this task?</h2>
        <button
          type="button"
          className="button plain square"
          aria-label="Close"
          onClick={() => dialog.current?.close()}
        >
          <Icon name="close" />
        </button>
      </div>
      <div className="dialog-body">
        <p className="dialog-name">{name}</p>
        <p>
          The task, its steps, inputs and outputs go from the tables at once, for everyone, and do not come back. Its
          bytes in the log leave with the log’s retention, after 30 days. What its agent still sends is ignored.
        </p>
        {remove.error ? <ErrorStrip error={asApiError(remove.error)} doing="Deleting" /> : null}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            Keep
          </button>
          <button type="button" className="button danger" disabled={remove.isPending} onClick={() => remove.mutate()}>
            <Icon name="trash" /> Delete
          </button>
        </div>
      </div>
    </dialog>
  );
}
