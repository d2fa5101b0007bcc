import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { request } from '../api/http';
import { agentsQuery, projectsQuery } from '../api/queries';
import { session } from '../api/session';
import type { Task, TaskPage } from '../api/types';
import { useDeadLetters } from '../features/dead-letters/dead-letters';
import { clauseOf } from '../features/task-list/filter';
import { serverNowUs } from '../ui/clock';
import { copyText } from '../ui/controls';
import { Icon } from '../ui/Icon';
import { type Command, fitting, taskCommands, taskQuery } from './palette';
import { applyTheme, setPreference } from './preferences';
import { navigate } from './router';
import './palette.css';

const TASKS_MAX = 8;
const TYPING_MS = 150;
const PRINT_AFTER_MS = 100;
const THEMES = [
  ['light', 'Light theme', 'sun'],
  ['dark', 'Dark theme', 'moon'],
  ['system', 'System theme', 'screen'],
] as const;

interface PaletteProps {
  project: string;
  onHelp: () => void;
  onClose: () => void;
}

/** `Ctrl+K`: type a few letters, Enter goes there. */
export function Palette({ project, onHelp, onClose }: PaletteProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const tasks = useTasks(project, text);
  const own = useCommands(project, onHelp);
  const found = [...taskCommands(tasks, project, serverNowUs(), navigate), ...fitting(own, text)];
  const chosen = Math.min(at, found.length - 1);

  useEffect(() => {
    const element = dialog.current;
    if (element && !element.open) element.showModal();
  }, []);
  const run = (command: Command | undefined) => {
    if (!command) return;
    dialog.current?.close();
    command.run();
  };
  const press = (event: React.KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by !== undefined && found.length > 0) setAt((chosen + by + found.length) % found.length);
    else if (event.key === 'Enter') run(found[chosen]);
    else return;
    event.preventDefault();
  };
  return (
    <dialog ref={dialog} className="dialog palette" onClose={onClose} aria-label="Go to">
      <div className="palette-line">
        <Icon name="search" />
        <input
          type="text"
          role="combobox"
          aria-expanded
          aria-controls="palette-list"
          aria-activedescendant={found[chosen] ? `palette-${chosen}` : undefined}
          aria-label="Go to a task, project or page"
          placeholder="Task name or ID, project, page or theme"
          spellCheck={false}
          autoFocus
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setAt(0);
          }}
          onKeyDown={press}
        />
        <kbd>Esc</kbd>
      </div>
      <div id="palette-list" role="listbox" aria-label="Results" className="palette-list">
        {found.map((command, index) => (
          <Entry
            key={command.id}
            command={command}
            index={index}
            chosen={index === chosen}
            heads={command.group !== found[index - 1]?.group}
            onChoose={setAt}
            onRun={run}
          />
        ))}
      </div>
      {found.length === 0 ? <p className="palette-none">No results.</p> : null}
    </dialog>
  );
}

interface EntryProps {
  command: Command;
  index: number;
  chosen: boolean;
  /** the first of its group */
  heads: boolean;
  onChoose: (index: number) => void;
  onRun: (command: Command) => void;
}

function Entry({ command, index, chosen, heads, onChoose, onRun }: EntryProps) {
  const element = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (chosen) element.current?.scrollIntoView({ block: 'nearest' });
  }, [chosen]);
  return (
    <>
      {heads ? (
        <p className="palette-group" role="presentation">
          {command.group}
        </p>
      ) : null}
      {/* biome-ignore lint/a11y/useKeyWithClickEvents: the field keeps the focus and answers the keys */}
      <div
        ref={element}
        id={`palette-${index}`}
        role="option"
        aria-selected={chosen}
        className="menu-item"
        onPointerMove={() => onChoose(index)}
        onClick={() => onRun(command)}
      >
        <Icon name={command.icon} />
        <span className="cut" style={{ flex: 1 }}>
          {command.label}
        </span>
        {command.hint ? <span className="faint tnum">{command.hint}</span> : null}
      </div>
    </>
  );
}

/** The tasks that match the text, fetched when the typing pauses; until then the last ones stay. */
function useTasks(project: string, text: string): Task[] {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  const q = taskQuery(settled);
  const answer = useQuery({
    queryKey: ['palette', project, q],
    queryFn: ({ signal }) =>
      request<TaskPage>(`/api/traces/${project}/tasks`, { signal, query: { q, limit: TASKS_MAX } }),
    placeholderData: keepPreviousData,
    retry: false,
  });
  return answer.data?.items ?? [];
}

function useCommands(project: string, onHelp: () => void): Command[] {
  const projects = useQuery(projectsQuery);
  const agents = useQuery(agentsQuery(project));
  const { open } = useDeadLetters(project);
  const page = (path: string, label: string, icon: string, also = ''): Command => ({
    id: path,
    group: 'Go to',
    label,
    also,
    icon,
    run: () => navigate(`/projects/${project}/${path}`),
  });
  return [
    page('tasks', 'Tasks', 'list'),
    page('tasks?status=error', 'Failed tasks', 'status-error', 'errors'),
    page('sessions', 'Sessions', 'list', 'conversations'),
    page('statistics', 'Statistics', 'chart'),
    page('alerts', 'Alerts', 'status-error', 'rules webhooks notify'),
    page('agents', 'Agents', 'agent'),
    page('models', 'Models and prices', 'llm', 'cost'),
    page('annotate', 'Annotate all tasks', 'evaluator', 'scores queue'),
    page('preferences', 'Preferences', 'columns', 'settings theme density time zone shortcuts'),
    page('keys', 'API keys', 'key'),
    page('people', 'People', 'user', 'members invitations'),
    page('links', 'Public links', 'link', 'share'),
    page('settings', 'Settings of the project', 'columns', 'quota usage retention delete rename'),
    page('audit', 'Audit log', 'list'),
    ...(open.value > 0 ? [page('not-stored', 'Not stored', 'replay', 'dead letters')] : []),
    ...(agents.data?.items ?? []).map(({ name }) => ({
      id: `agent-${name}`,
      group: 'Agents',
      label: name,
      icon: 'agent',
      run: () => navigate(`/projects/${project}/tasks?${new URLSearchParams({ q: clauseOf('agent', name) })}`),
    })),
    ...(projects.data?.items ?? [])
      .filter((item) => item.project_id !== project)
      .map((item) => ({
        id: item.project_id,
        group: 'Projects',
        label: item.name,
        icon: 'next',
        run: () => navigate(`/projects/${item.project_id}/tasks`),
      })),
    ...THEMES.map(([name, label, icon]) => ({
      id: name,
      group: 'Theme',
      label,
      icon,
      run: () => {
        setPreference('theme', name);
        applyTheme(name);
      },
    })),
    {
      id: 'print',
      group: 'Actions',
      label: 'Print this page',
      icon: 'panel',
      // the palette closes before the page is drawn for paper
      run: () => setTimeout(() => window.print(), PRINT_AFTER_MS),
    },
    {
      id: 'link',
      group: 'Actions',
      label: 'Copy a link to this page',
      icon: 'link',
      run: () => void copyText(location.href, 'a link to this page'),
    },
    { id: 'sign-out', group: 'Actions', label: 'Sign out', icon: 'user', run: () => void session.logout() },
    { id: 'help', group: 'Help', label: 'Keyboard shortcuts', icon: 'help', run: onHelp },
  ];
}
