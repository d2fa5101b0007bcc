import { type ReactNode, useEffect, useId, useRef, useState } from 'react';
import type { ApiError } from '../api/problems';
import { usePreference } from '../app/preferences';
import { serverNowUs, useNowUs } from './clock';
import { ago, dateTime, moment, ticking, zoneName } from './format';
import { Icon } from './Icon';

let toastTimer: ReturnType<typeof setTimeout> | null = null;

/** A short message at the bottom of the page that disappears by itself; screen readers announce it. */
export function toast(text: string): void {
  const place = document.getElementById('toast');
  if (!place) return;
  place.textContent = text;
  place.className = 'toast';
  if (toastTimer) clearTimeout(toastTimer);
  toastTimer = setTimeout(() => {
    place.className = '';
    place.textContent = '';
  }, 1_600);
}

export async function copyText(text: string, what: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // plain http on a foreign host has no clipboard: the old way still works there
    const area = document.createElement('textarea');
    area.value = text;
    area.style.position = 'fixed';
    area.style.opacity = '0';
    document.body.append(area);
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    if (!done) {
      toast('The browser does not allow copying here');
      return false;
    }
  }
  toast(`Copied ${what}`);
  return true;
}

interface CopyButtonProps {
  text: string | (() => string);
  what: string;
  icon?: string;
  label?: string;
}

export function CopyButton({ text, what, icon = 'copy', label }: CopyButtonProps) {
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), 1_200);
    return () => clearTimeout(timer);
  }, [done]);
  const copy = async () => setDone(await copyText(typeof text === 'string' ? text : text(), what));
  return (
    <button
      type="button"
      className={label ? 'button small plain' : 'button small plain square'}
      onClick={copy}
      aria-label={`Copy ${what}`}
      title={`Copy ${what}`}
    >
      <Icon name={done ? 'check' : icon} />
      {label}
    </button>
  );
}

/** An ID, shown shortened and copied in full. */
export function CopyId({ id, what, shown = 8 }: { id: string; what: string; shown?: number }) {
  return (
    <button type="button" className="copy-id" title={`${id}\nClick to copy`} onClick={() => copyText(id, what)}>
      <span>{id.length > shown ? `${id.slice(0, shown)}…` : id}</span>
      <Icon name="copy" />
      <span className="visually-hidden">Copy {what}</span>
    </button>
  );
}

interface SegmentedProps<T extends string> {
  label: string;
  value: T;
  options: readonly { value: T; label: string; icon?: string }[];
  onChange: (value: T) => void;
  small?: boolean;
}

export function Segmented<T extends string>({ label, value, options, onChange, small }: SegmentedProps<T>) {
  return (
    <fieldset className={small ? 'segmented small' : 'segmented'} style={{ margin: 0, padding: 0 }}>
      <legend className="visually-hidden">{label}</legend>
      {options.map((option) => (
        <button
          key={option.value}
          type="button"
          aria-pressed={option.value === value}
          onClick={() => onChange(option.value)}
        >
          {option.icon ? <Icon name={option.icon} /> : null}
          {option.label}
        </button>
      ))}
    </fieldset>
  );
}

interface MenuProps {
  label: ReactNode;
  name: string;
  className?: string;
  align?: 'start' | 'end';
  children: (close: () => void) => ReactNode;
}

/** A button that opens a list; arrows move in it, Esc and a click elsewhere close it. */
export function Menu({ label, name, className = 'button plain', align = 'start', children }: MenuProps) {
  const [open, setOpen] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const id = useId();
  useEffect(() => {
    if (!open) return;
    root.current?.querySelector<HTMLElement>('.menu-list button, .menu-list a, .menu-list input')?.focus();
    const closeOutside = (event: PointerEvent) => {
      if (!root.current?.contains(event.target as Node)) setOpen(false);
    };
    window.addEventListener('pointerdown', closeOutside);
    return () => window.removeEventListener('pointerdown', closeOutside);
  }, [open]);
  const close = () => {
    setOpen(false);
    root.current?.querySelector<HTMLElement>('button')?.focus();
  };
  const press = (event: React.KeyboardEvent) => {
    if (!open) return;
    if (event.key === 'Escape') {
      event.stopPropagation();
      event.preventDefault();
      close();
    }
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
    event.preventDefault();
    const items = [...(root.current?.querySelectorAll<HTMLElement>('.menu-list button, .menu-list a') ?? [])];
    const at = items.indexOf(document.activeElement as HTMLElement);
    items[(at + (event.key === 'ArrowDown' ? 1 : items.length - 1)) % items.length]?.focus();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it listens for the keys of the buttons in it
    <div className="menu" ref={root} onKeyDown={press}>
      <button
        type="button"
        className={className}
        title={name}
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        onClick={() => setOpen(!open)}
      >
        <span className="visually-hidden">{name}</span>
        {label}
      </button>
      {open ? (
        <div id={id} className={`menu-list ${align}`}>
          {children(close)}
        </div>
      ) : null}
    </div>
  );
}

/** What went wrong, in place of the part that failed. */
export function ErrorStrip({ error, doing, onRetry }: { error: ApiError; doing: string; onRetry?: () => void }) {
  return (
    <div className="strip" role="alert">
      <svg className="icon mark" data-status="error" aria-hidden="true">
        <use href="#i-status-error" />
      </svg>
      <p>
        {doing}. {error.message}{' '}
        <span className="meta">
          {error.code}
          {error.requestId ? ` · request ${error.requestId}` : ''}
        </span>
      </p>
      {onRetry ? (
        <button type="button" className="button small" onClick={onRetry}>
          Retry
        </button>
      ) : null}
    </div>
  );
}

/** Time since a start, running. Tenths for ten seconds, then whole seconds. */
export function Ticking({ sinceUs }: { sinceUs: number }) {
  const young = serverNowUs() - sinceUs < 10_000_000;
  const now = useNowUs(young ? 100 : 1_000);
  return <>{ticking(now - sinceUs)}</>;
}

/** A moment: how long ago, or the clock time after `T`; the exact time is in the title. */
export function When({ us, className }: { us: number | null; className?: string }) {
  const [mode] = usePreference('times', 'relative');
  const now = useNowUs(mode === 'relative' ? 1_000 : null);
  if (us === null) return <span className={className} title="Unknown start" />;
  return (
    <time className={className} dateTime={isoOf(us)} title={moment(us)}>
      {mode === 'relative' ? ago(us, now) : dateTime(us)}
    </time>
  );
}

export function zoneTitle(): string {
  return `Times are shown in ${zoneName()}`;
}

export function isoOf(us: number): string {
  const date = new Date(us / 1_000);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}
