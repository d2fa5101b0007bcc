import { useEffect } from 'react';
import { applyTheme, usePreference } from '../app/preferences';
import { useCompact } from '../features/task-list/Toolbar';
import { Segmented } from '../ui/controls';
import { localZone } from '../ui/format';
import './preferences.css';

const THEMES = [
  { value: 'system', label: 'System', icon: 'screen' },
  { value: 'light', label: 'Light', icon: 'sun' },
  { value: 'dark', label: 'Dark', icon: 'moon' },
] as const;
const ROWS = [
  { value: 'usual', label: 'Comfortable' },
  { value: 'compact', label: 'Compact' },
] as const;
const TIMES = [
  { value: 'relative', label: 'Relative' },
  { value: 'absolute', label: 'Absolute' },
] as const;
const ZONES = [
  { value: 'local', label: 'Local' },
  { value: 'UTC', label: 'UTC' },
] as const;
const KEYS = [
  { value: 'on', label: 'On' },
  { value: 'off', label: 'Off' },
] as const;

type Choice<T extends readonly { value: string }[]> = T[number]['value'];

/** `/projects/{project}/preferences`: how the explorer looks and answers in this browser. */
export function PreferencesPage() {
  const [theme, setTheme] = usePreference('theme', 'system');
  const [compact, setCompact] = useCompact();
  const [times, setTimes] = usePreference('times', 'relative');
  const [zone, setZone] = usePreference('zone', 'local');
  const [shortcuts, setShortcuts] = usePreference('shortcuts', 'on');
  useEffect(() => {
    document.title = 'Preferences · AMS';
  }, []);
  return (
    <div className="page">
      <div className="page-inner preference-page">
        <h1>Preferences</h1>
        <p className="quiet">They are kept in this browser, for all projects.</p>
        <dl className="preference-list">
          <div>
            <dt>Theme</dt>
            <dd>
              <Segmented
                label="Theme"
                value={theme as Choice<typeof THEMES>}
                options={THEMES}
                onChange={(next) => {
                  setTheme(next);
                  applyTheme(next);
                }}
              />
            </dd>
          </div>
          <div>
            <dt>Rows of lists</dt>
            <dd>
              <Segmented
                label="Rows of lists"
                value={compact ? 'compact' : 'usual'}
                options={ROWS}
                onChange={(next) => setCompact(next === 'compact')}
              />
            </dd>
          </div>
          <div>
            <dt>Times</dt>
            <dd>
              <Segmented label="Times" value={times as Choice<typeof TIMES>} options={TIMES} onChange={setTimes} />
              <p className="faint">
                <kbd>T</kbd> switches between them on every page.
              </p>
            </dd>
          </div>
          <div>
            <dt>Time zone</dt>
            <dd>
              <Segmented
                label="Time zone"
                value={zone as Choice<typeof ZONES>}
                options={ZONES}
                onChange={(next) => {
                  setZone(next);
                  // every time on the page was written in the other zone
                  location.reload();
                }}
              />
              <p className="faint">Local is {localZone()}.</p>
            </dd>
          </div>
          <div>
            <dt>Single-key shortcuts</dt>
            <dd>
              <Segmented
                label="Single-key shortcuts"
                value={shortcuts as Choice<typeof KEYS>}
                options={KEYS}
                onChange={setShortcuts}
              />
              <p className="faint">
                <kbd>?</kbd> lists them. Ctrl+K, arrows, Enter and Esc work in any case.
              </p>
            </dd>
          </div>
        </dl>
      </div>
    </div>
  );
}
