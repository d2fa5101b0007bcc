import { usePreference } from '../../app/preferences';
import { navigate, useQuery } from '../../app/router';
import { toast } from '../../ui/controls';
import { Icon } from '../../ui/Icon';
import { comparisonOf, type Mark, readMark, writeMark } from './mark';

const MARK = 'compare.mark';

interface CompareItemsProps {
  project: string;
  task: string;
  name: string;
  onDone: () => void;
}

/** The entries of a task's menu that lead to a comparison: of the selected step, or of the task when none is selected. */
export function CompareItems({ project, task, name, onDone }: CompareItemsProps) {
  const [text, setText] = usePreference(MARK, '');
  const step = useQuery().get('step');
  const here: Mark = { project, task, step, name };
  const marked = readMark(text);
  const address = marked && comparisonOf(marked, here);
  return (
    <>
      <button
        type="button"
        className="menu-item"
        onClick={() => {
          setText(writeMark(here));
          toast(step ? 'Step marked. Select another step to compare' : 'Task marked. Open another task to compare');
          onDone();
        }}
      >
        <Icon name="check" /> Mark {step ? 'step ' : ''}for comparison
      </button>
      {marked && address ? (
        <button
          type="button"
          className="menu-item"
          onClick={() => {
            onDone();
            navigate(address);
          }}
        >
          <Icon name="panel" />{' '}
          <span className="cut">
            Compare {step ? 'step ' : ''}with {marked.step ? `a step of ${marked.name}` : marked.name}
          </span>
        </button>
      ) : null}
    </>
  );
}
