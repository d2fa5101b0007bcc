/** Single-key shortcuts. A page lists its keys; typing in a field is never a shortcut, except where a field says so itself. */
import { useEffect, useRef } from 'react';
import { preference } from './preferences';

/** Key as `KeyboardEvent.key`, with `Shift+`, `Ctrl+` in front where they are held: `e`, `E`, `Shift+ArrowRight`, `Ctrl+k`. */
export type KeyMap = Record<string, (event: KeyboardEvent) => void>;

export function useKeys(keys: KeyMap, enabled = true): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    if (!enabled) return;
    const press = (event: KeyboardEvent) => {
      if (event.defaultPrevented || event.isComposing || event.altKey) return;
      const name = nameOf(event);
      const command = event.ctrlKey || event.metaKey;
      if (!command && typing(event.target)) return;
      if (!command && name.length === 1 && preference('shortcuts', 'on') === 'off') return;
      if (document.querySelector('dialog[open]')) return;
      const run = latest.current[name];
      if (!run) return;
      event.preventDefault();
      run(event);
    };
    window.addEventListener('keydown', press);
    return () => window.removeEventListener('keydown', press);
  }, [enabled]);
}

function nameOf(event: KeyboardEvent): string {
  const command = event.ctrlKey || event.metaKey ? 'Ctrl+' : '';
  const shift = event.shiftKey && event.key.length > 1 ? 'Shift+' : '';
  return command + shift + (command ? event.key.toLowerCase() : event.key);
}

/** Fields keep their keys; so do buttons and links theirs (Enter and space). */
function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName);
}
