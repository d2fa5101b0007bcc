import { useMutation } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { asApiError } from '../../api/problems';
import { deleteTask } from '../../api/queries';
import { ErrorStrip } from '../../ui/controls';
import { Dialog } from '../../ui/Dialog';
import { exact, plural } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { oneByOne } from './one-by-one';

interface DeleteTasksProps {
  project: string;
  tasks: readonly string[];
  /** of the task, when there is one */
  name?: string;
  onDeleted: () => void;
  onClose: () => void;
}

/** Asks for confirmation and says what is deleted when. */
export function DeleteTasks({ project, tasks, name, onDeleted, onClose }: DeleteTasksProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [left, setLeft] = useState(tasks);
  const remove = useMutation({
    mutationFn: () => oneByOne(left, (task) => deleteTask(project, task), setLeft),
    onSuccess: onDeleted,
  });
  const many = tasks.length > 1;
  return (
    <Dialog
      dialog={dialog}
      title={many ? `Delete ${plural(tasks.length, 'task')}?` : 'Delete this task?'}
      narrow
      onClose={onClose}
    >
      <div className="dialog-body">
        {name ? (
          <p className="dialog-name" dir="auto">
            {name}
          </p>
        ) : null}
        <p>
          {many ? 'The tasks with their' : 'The task with its'} steps, inputs and outputs {many ? 'are' : 'is'} deleted
          for everyone. This cannot be undone. The event log keeps {many ? 'their' : 'its'} bytes until its retention
          ends, after 30 days. Events that the agent still sends are ignored.
        </p>
        {many && left.length < tasks.length ? (
          <p role="status" className="tnum">
            {exact(tasks.length - left.length)} of {exact(tasks.length)} deleted
          </p>
        ) : null}
        {remove.error ? (
          <ErrorStrip
            error={asApiError(remove.error)}
            doing={many ? `Cannot delete ${plural(left.length, 'task')}` : 'Cannot delete the task'}
          />
        ) : null}
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
