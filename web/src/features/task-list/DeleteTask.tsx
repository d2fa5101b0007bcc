import { useMutation } from '@tanstack/react-query';
import { useRef } from 'react';
import { asApiError } from '../../api/problems';
import { deleteTask } from '../../api/queries';
import { ErrorStrip } from '../../ui/controls';
import { Dialog } from '../../ui/Dialog';
import { Icon } from '../../ui/Icon';

interface DeleteTaskProps {
  project: string;
  task: string;
  name: string;
  onDeleted: () => void;
  onClose: () => void;
}

/** Asks for confirmation and says what is deleted when. */
export function DeleteTask({ project, task, name, onDeleted, onClose }: DeleteTaskProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const remove = useMutation({ mutationFn: () => deleteTask(project, task), onSuccess: onDeleted });
  return (
    <Dialog dialog={dialog} title="Delete this task?" narrow onClose={onClose}>
      <div className="dialog-body">
        <p className="dialog-name">{name}</p>
        <p>
          The task with its steps, inputs and outputs is deleted for everyone. This cannot be undone. The event log
          keeps its bytes until its retention ends, after 30 days. Events that the agent still sends are ignored.
        </p>
        {remove.error ? <ErrorStrip error={asApiError(remove.error)} doing="Cannot delete the task" /> : null}
        <div className="dialog-actions">
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="button" className="button danger" disabled={remove.isPending} onClick={() => remove.mutate()}>
            <Icon name="trash" /> Delete
          </button>
        </div>
      </div>
    </Dialog>
  );
}
