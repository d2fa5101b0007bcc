import { setPreference, usePreference } from '../../app/preferences';
import { navigate } from '../../app/router';
import { toast } from '../../ui/controls';
import { Icon } from '../../ui/Icon';

/** The task that was marked last, to be compared with the next one: `project task name`. */
const MARK = 'compare.mark';

interface CompareItemsProps {
  project: string;
  task: string;
  name: string;
  onDone: () => void;
}

/** The entries of a task's menu that lead to a comparison. */
export function CompareItems({ project, task, name, onDone }: CompareItemsProps) {
  const [mark] = usePreference(MARK, '');
  const [markedProject, marked, ...words] = mark.split(' ');
  return (
    <>
      <button
        type="button"
        className="menu-item"
        onClick={() => {
          setPreference(MARK, `${project} ${task} ${name}`);
          toast('Marked. Open another task to compare it with this one');
          onDone();
        }}
      >
        <Icon name="check" /> Mark for comparison
      </button>
      {marked && marked !== task && markedProject === project ? (
        <button
          type="button"
          className="menu-item"
          onClick={() => {
            onDone();
            navigate(`/projects/${project}/compare?left=${marked}&right=${task}`);
          }}
        >
          <Icon name="panel" /> <span className="cut">Compare with {words.join(' ') || marked.slice(0, 8)}</span>
        </button>
      ) : null}
    </>
  );
}
