import { useRef } from 'react';
import { Dialog } from '../ui/Dialog';
import { usePreference } from './preferences';

const GROUPS: readonly (readonly [string, readonly (readonly [string, readonly string[]])[]])[] = [
  [
    'Everywhere',
    [
      ['Keyboard shortcuts', ['?']],
      ['Go to a task, project or page', ['Ctrl', 'K']],
      ['Search', ['/']],
      ['Absolute or relative times', ['T']],
      ['Close or go back', ['Esc']],
    ],
  ],
  [
    'Lists and trees',
    [
      ['Next, previous row', ['j', 'k']],
      ['Open', ['Enter']],
      ['First, last row', ['Home', 'End']],
    ],
  ],
  [
    'A task',
    [
      ['Collapse, or go to the parent', ['←']],
      ['Expand, or go to the first child', ['→']],
      ['Expand everything below', ['Shift', '→']],
      ['Expand to depth', ['1', '–', '9']],
      ['Next, previous error', ['e', 'E']],
      ['Next, previous match', ['n', 'N']],
      ['Zoom to the step, show all', ['z', '0']],
      ['Fit the time axis to visible rows', ['g']],
      ['Follow running steps', ['f']],
      ['Copy link', ['c']],
      ['Switch between tree and log', ['v']],
      ['Show or hide the detail pane', ['\\']],
      ['Previous, next task', ['[', ']']],
      ['Thumbs up, thumbs down', ['+', '-']],
      ['Enter a score', ['s']],
      ['Time travel: back, forward, play or pause', [',', '.', 'Space']],
    ],
  ],
];

export function Help({ onClose }: { onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [shortcuts, setShortcuts] = usePreference('shortcuts', 'on');
  return (
    <Dialog dialog={dialog} title="Keyboard shortcuts" onClose={onClose}>
      <div className="help-columns">
        {GROUPS.map(([title, rows]) => (
          <section key={title}>
            <h3>{title}</h3>
            {rows.map(([what, keys]) => (
              <div key={what} className="help-row">
                <span>{what}</span>
                <span>{keys.map((key) => (key === '–' ? <span key={key}>–</span> : <kbd key={key}>{key}</kbd>))}</span>
              </div>
            ))}
          </section>
        ))}
        <section>
          <h3>Settings</h3>
          <label className="help-row">
            <span>Single-key shortcuts</span>
            <input
              type="checkbox"
              checked={shortcuts === 'on'}
              onChange={(event) => setShortcuts(event.target.checked ? 'on' : 'off')}
            />
          </label>
          <p className="help-row">
            <a href="/docs/" target="_blank" rel="noopener">
              Documentation
            </a>
          </p>
        </section>
      </div>
    </Dialog>
  );
}
