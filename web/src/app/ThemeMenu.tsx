import { Menu } from '../ui/controls';
import { Icon } from '../ui/Icon';
import { applyTheme, usePreference } from './preferences';

const THEMES = [
  ['system', 'System', 'screen'],
  ['light', 'Light', 'sun'],
  ['dark', 'Dark', 'moon'],
] as const;

export function ThemeMenu() {
  const [theme, setTheme] = usePreference('theme', 'system');
  const icon = THEMES.find(([name]) => name === theme)?.[2] ?? 'screen';
  return (
    <Menu name="Theme" className="button plain square" align="end" label={<Icon name={icon} />}>
      {(close) =>
        THEMES.map(([name, label, picture]) => (
          <button
            key={name}
            type="button"
            className="menu-item"
            aria-current={name === theme}
            onClick={() => {
              setTheme(name);
              applyTheme(name);
              close();
            }}
          >
            <Icon name={picture} /> {label}
          </button>
        ))
      }
    </Menu>
  );
}
