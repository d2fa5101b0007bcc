import '@fontsource-variable/inter/wght.css';
import '@fontsource-variable/jetbrains-mono/wght.css';
import './app/tokens.css';
import './app/base.css';
import './ui/controls.css';
import './ui/marks.css';
import './ui/layers.css';
import './ui/shared.css';
import './app/shell.css';
import './app/print.css';
import { createRoot } from 'react-dom/client';
import { App } from './app/App';
import { applyTheme, preference } from './app/preferences';
import { applyZone } from './ui/format';

applyTheme(preference('theme', 'system'));
applyZone(preference('zone', 'local'));
const place = document.getElementById('root');
if (place) createRoot(place).render(<App />);
