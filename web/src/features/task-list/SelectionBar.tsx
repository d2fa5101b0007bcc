import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { projectsQuery } from '../../api/queries';
import { Link } from '../../app/router';
import { copyText, toast } from '../../ui/controls';
import { plural } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { ExportDialog } from '../transfer/ExportDialog';
import { DeleteTasks } from './DeleteTasks';
import { LabelTasks } from './LabelTasks';

interface SelectionBarProps {
  project: string;
  marked: ReadonlySet<string>;
  onClear: () => void;
  onDeleted: (tasks: ReadonlySet<string>) => void;
}

/** What can be done with the tasks that are selected. */
export function SelectionBar({ project, marked, onClear, onDeleted }: SelectionBarProps) {
  const [a, b] = marked;
  const [exporting, setExporting] = useState(false);
  const [labelling, setLabelling] = useState(false);
  const [deleting, setDeleting] = useState(false);
  const labelled = (name: string, label: string) => {
    setLabelling(false);
    toast(`${plural(marked.size, 'task')} labelled ${name}: ${label}`);
  };
  const role = useQuery(projectsQuery).data?.items.find((item) => item.project_id === project)?.role;
  const deleted = () => {
    setDeleting(false);
    toast(`${plural(marked.size, 'task')} deleted`);
    onDeleted(marked);
  };
  return (
    <section className="selection-bar" aria-label="Selected tasks">
      <span className="tnum">{marked.size} selected</span>
      {marked.size === 2 ? (
        <Link className="button small" to={`/projects/${project}/compare?left=${a}&right=${b}`}>
          Compare
        </Link>
      ) : (
        <span className="faint">Select two to compare</span>
      )}
      <button type="button" className="button small" onClick={() => setExporting(true)}>
        <Icon name="download" /> Export…
      </button>
      {exporting ? (
        <ExportDialog project={project} tasks={[...marked]} name="" onClose={() => setExporting(false)} />
      ) : null}
      <button
        type="button"
        className="button small"
        onClick={() => {
          const links = [...marked].map((id) => `${location.origin}/t/${id}`);
          void copyText(links.join('\n'), plural(links.length, 'link'));
        }}
      >
        <Icon name="link" /> Copy links
      </button>
      {role === undefined || role === 'viewer' ? null : (
        <>
          <button type="button" className="button small" onClick={() => setLabelling(true)}>
            Label…
          </button>
          <button type="button" className="button small" onClick={() => setDeleting(true)}>
            <Icon name="trash" /> Delete…
          </button>
        </>
      )}
      {labelling ? (
        <LabelTasks project={project} tasks={[...marked]} onLabelled={labelled} onClose={() => setLabelling(false)} />
      ) : null}
      {deleting ? (
        <DeleteTasks project={project} tasks={[...marked]} onDeleted={deleted} onClose={() => setDeleting(false)} />
      ) : null}
      <button type="button" className="button plain small" onClick={onClear}>
        Clear
      </button>
    </section>
  );
}
