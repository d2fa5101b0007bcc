import type { ReactNode } from 'react';
import type { Status, StepType } from '../api/types';

/** Every picture of the explorer, drawn on a 16-pixel grid; each step type and status has a silhouette of its own. */
const PICTURES: Record<string, ReactNode> = {
  // step types
  agent: (
    <>
      <rect x="2" y="2" width="12" height="12" rx="2.5" />
      <circle cx="8" cy="6.6" r="1.9" />
      <path d="M4.6 13.6c.4-2.3 1.7-3.4 3.4-3.4s3 1.1 3.4 3.4" />
    </>
  ),
  llm: <path d="M8 1.6 13.6 4.8v6.4L8 14.4 2.4 11.2V4.8z" />,
  tool: (
    <path d="M9.9 4.2a.7.7 0 0 0 0 1l.9.9a.7.7 0 0 0 1 0l2.5-2.5a4 4 0 0 1-5.3 5.3l-4.6 4.6a1.4 1.4 0 0 1-2-2l4.6-4.6a4 4 0 0 1 5.3-5.3z" />
  ),
  retrieval: (
    <>
      <ellipse cx="8" cy="3.8" rx="5" ry="2.2" />
      <path d="M3 3.8v8.4c0 1.2 2.2 2.2 5 2.2s5-1 5-2.2V3.8M3 8c0 1.2 2.2 2.2 5 2.2S13 9.2 13 8" />
    </>
  ),
  embedding: (
    <g fill="currentColor" stroke="none">
      <circle cx="3.4" cy="3.4" r="1.4" />
      <circle cx="8" cy="3.4" r="1.4" />
      <circle cx="12.6" cy="3.4" r="1.4" />
      <circle cx="3.4" cy="8" r="1.4" />
      <circle cx="8" cy="8" r="1.4" />
      <circle cx="12.6" cy="8" r="1.4" />
      <circle cx="3.4" cy="12.6" r="1.4" />
      <circle cx="8" cy="12.6" r="1.4" />
      <circle cx="12.6" cy="12.6" r="1.4" />
    </g>
  ),
  rerank: <path d="M2.5 3.5h11M2.5 8h7.5M2.5 12.5h4" strokeWidth="2.2" />,
  workflow: <circle cx="8" cy="8" r="5.4" strokeWidth="2" />,
  guardrail: <path d="M8 1.6 13.2 3.5v4c0 3.3-2.1 5.7-5.2 6.9-3.1-1.2-5.2-3.6-5.2-6.9v-4z" />,
  evaluator: (
    <>
      <circle cx="8" cy="8" r="6.2" />
      <path d="m5.2 8.2 2 2 3.6-4.2" />
    </>
  ),
  handoff: <path d="M2 8h11M9 3.6 13.4 8 9 12.4" strokeWidth="2" />,
  memory: <path d="m8 2 6 3-6 3-6-3zM2 8l6 3 6-3M2 11l6 3 6-3" />,
  log: <path d="M2.5 3.5h11M2.5 8h11M2.5 12.5h11" />,
  span: <rect x="3" y="3" width="10" height="10" rx="1.5" />,
  // statuses
  'status-error': (
    <>
      <circle cx="8" cy="8" r="6.6" fill="currentColor" stroke="none" />
      <path d="M8 4.6v4M8 11.2v.1" stroke="var(--page)" strokeWidth="1.8" />
    </>
  ),
  'status-ok': <path d="m3.2 8.6 3.2 3.2 6.4-7.4" strokeWidth="1.8" />,
  'status-running': (
    <>
      <circle cx="8" cy="8" r="5.6" opacity="0.25" strokeWidth="2" />
      <path d="M8 2.4A5.6 5.6 0 0 1 13.6 8" strokeWidth="2" />
    </>
  ),
  'status-waiting': (
    <path d="M5 8.4V4.2a1 1 0 0 1 2 0V7m0-.4V2.8a1 1 0 0 1 2 0v4m0-.2V3.6a1 1 0 0 1 2 0v4m0-1.6a1 1 0 0 1 2 0v3.4c0 3-1.9 5-4.4 5-2 0-3.2-.9-4.2-2.6L2.6 8.9a1 1 0 0 1 1.7-1L5 8.9" />
  ),
  'status-lost': (
    <path d="M6.8 11.6 5.6 12.8a2.5 2.5 0 0 1-3.5-3.5l1.8-1.8M9.2 4.4l1.2-1.2a2.5 2.5 0 0 1 3.5 3.5l-1.8 1.8M5.6 2v1.6M2 5.6h1.6M10.4 14v-1.6M14 10.4h-1.6" />
  ),
  'status-cancelled': (
    <>
      <circle cx="8" cy="8" r="5.8" />
      <path d="m4 12 8-8" />
    </>
  ),
  // controls
  copy: (
    <>
      <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" />
      <path d="M10.5 5.5V4A1.5 1.5 0 0 0 9 2.5H4A1.5 1.5 0 0 0 2.5 4v5A1.5 1.5 0 0 0 4 10.5h1.5" />
    </>
  ),
  check: <path d="m3.2 8.6 3.2 3.2 6.4-7.4" />,
  history: <path d="M2.5 8a5.5 5.5 0 1 0 1.7-4M2.5 2.5v3h3M8 5v3.3l2.2 1.5" />,
  download: <path d="M8 2v8M4.5 7 8 10.5 11.5 7M2.5 13.5h11" />,
  upload: <path d="M8 10.5v-8M4.5 6 8 2.5 11.5 6M2.5 13.5h11" />,
  link: (
    <path d="M6.6 9.4a2.8 2.8 0 0 0 4 0l2.3-2.3a2.8 2.8 0 0 0-4-4l-.9.9M9.4 6.6a2.8 2.8 0 0 0-4 0L3.1 8.9a2.8 2.8 0 0 0 4 4l.9-.9" />
  ),
  chevron: <path d="m6 3.8 4.2 4.2L6 12.2" />,
  down: <path d="m3.8 6 4.2 4.2L12.2 6" />,
  up: <path d="m3.8 10 4.2-4.2 4.2 4.2" />,
  search: (
    <>
      <circle cx="7" cy="7" r="4.6" />
      <path d="m10.5 10.5 3.2 3.2" />
    </>
  ),
  close: <path d="m4 4 8 8M12 4l-8 8" />,
  plus: <path d="M8 3v10M3 8h10" />,
  minus: <path d="M3.5 8h9" />,
  pause: <path d="M5.5 3.5v9M10.5 3.5v9" strokeWidth="2" />,
  play: <path d="M5 3.2 12.4 8 5 12.8z" />,
  filter: <path d="M2.5 4h11M4.8 8h6.4M6.9 12h2.2" />,
  columns: <path d="M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10" />,
  chart: <path d="M3 13V8M6.4 13V4M9.7 13V6.5M13 13V9.5" strokeWidth="2" />,
  trash: (
    <path d="M2.8 4.2h10.4M6.4 4V2.8h3.2V4M4.2 4.4l.6 8.2a1 1 0 0 0 1 .9h4.4a1 1 0 0 0 1-.9l.6-8.2M6.8 6.8v4M9.2 6.8v4" />
  ),
  sun: (
    <>
      <circle cx="8" cy="8" r="2.8" />
      <path d="M8 1.6v1.2M8 13.2v1.2M1.6 8h1.2M13.2 8h1.2M3.5 3.5l.8.8M11.7 11.7l.8.8M12.5 3.5l-.8.8M4.3 11.7l-.8.8" />
    </>
  ),
  moon: <path d="M13.4 9.6A5.6 5.6 0 0 1 6.4 2.6a5.6 5.6 0 1 0 7 7z" />,
  screen: <path d="M2.5 3.5h11v7.2h-11zM5.6 13.4h4.8M8 10.8v2.4" />,
  help: (
    <>
      <circle cx="8" cy="8" r="6" />
      <path d="M6.2 6.3A1.8 1.8 0 1 1 8.6 8c-.5.2-.6.5-.6 1v.2M8 11.4v.1" />
    </>
  ),
  key: (
    <>
      <circle cx="5.4" cy="10.6" r="2.9" />
      <path d="m7.5 8.5 5.8-5.8M11.2 4.8l1.8 1.8M9.4 6.6l1.2 1.2" />
    </>
  ),
  tree: <path d="M3 2.5v9.2a1 1 0 0 0 1 1h2.4M3 7.2h3.4M8.4 7.2h5M8.4 12.7h5M5 2.6h8.4" />,
  list: <path d="M2.5 3.5h.2M5.4 3.5h8.1M2.5 8h.2M5.4 8h8.1M2.5 12.5h.2M5.4 12.5h8.1" />,
  follow: <path d="M3 2.6v10.8M12.8 8H6M9.6 4.8 12.8 8l-3.2 3.2" transform="rotate(90 8 8)" />,
  expand: <path d="m4.6 6 3.4-3.4L11.4 6M4.6 10 8 13.4 11.4 10" />,
  collapse: <path d="m4.6 2.8 3.4 3.4 3.4-3.4M4.6 13.2 8 9.8l3.4 3.4" />,
  zoom: <path d="M2.6 6V2.6H6M10 2.6h3.4V6M13.4 10v3.4H10M6 13.4H2.6V10" />,
  more: <path d="M3.4 8h.1M8 8h.1M12.5 8h.1" strokeWidth="2.2" />,
  replay: <path d="M3 8a5 5 0 1 0 1.6-3.7M3 2.4v2.9h2.9" />,
  back: <path d="M9.8 3.8 5.6 8l4.2 4.2" />,
  next: <path d="M6.2 3.8 10.4 8l-4.2 4.2" />,
  panel: <path d="M2.5 3h11v10h-11zM9.5 3v10" />,
  'thumb-up': (
    <path d="M5 7v6.4M5 7l2.6-4.6a1.3 1.3 0 0 1 2.4.8l-.5 3h2.9a1.4 1.4 0 0 1 1.4 1.7l-.9 4.2a1.6 1.6 0 0 1-1.6 1.3H2.6V7z" />
  ),
  'thumb-down': (
    <path d="M11 9V2.6M11 9l-2.6 4.6a1.3 1.3 0 0 1-2.4-.8l.5-3H3.6a1.4 1.4 0 0 1-1.4-1.7l.9-4.2a1.6 1.6 0 0 1 1.6-1.3h8.7V9z" />
  ),
  user: (
    <>
      <circle cx="8" cy="5.4" r="2.7" />
      <path d="M2.8 13.6c.5-2.7 2.4-4.2 5.2-4.2s4.7 1.5 5.2 4.2" />
    </>
  ),
};

export type IconName = keyof typeof PICTURES;

/** All pictures once; rows refer to them, so that a glyph costs two elements. */
export function Sprite() {
  return (
    <svg width="0" height="0" style={{ position: 'absolute' }} aria-hidden="true">
      {Object.entries(PICTURES).map(([name, picture]) => (
        <symbol key={name} id={`i-${name}`} viewBox="0 0 16 16">
          {picture}
        </symbol>
      ))}
    </svg>
  );
}

export function Icon({ name, className = '' }: { name: string; className?: string }) {
  return (
    <svg className={`icon ${className}`} aria-hidden="true" focusable="false">
      <use href={`#i-${name}`} />
    </svg>
  );
}

/** The glyph of a step type in a tile of its colour. */
export function TypeTile({ type, large = false }: { type: StepType; large?: boolean }) {
  return (
    <span className={large ? 'tile large' : 'tile'} data-type={type} title={type}>
      <Icon name={type} />
    </span>
  );
}

const STATUS_WORDS: Record<Status, string> = {
  running: 'running',
  waiting: 'waiting for a person',
  ok: 'ok',
  error: 'error',
  cancelled: 'cancelled',
  lost: 'lost',
};

/** A status as a mark in a row; an ordinary end needs none. */
export function StatusMark({ status }: { status: Status }) {
  if (status === 'ok') return null;
  return (
    <svg
      className={status === 'running' ? 'icon mark spin' : 'icon mark'}
      data-status={status}
      role="img"
      aria-label={STATUS_WORDS[status]}
    >
      <use href={`#i-status-${status}`} />
    </svg>
  );
}

/** A status with its word, for heads. */
export function StatusPill({ status, note }: { status: Status; note?: string | undefined }) {
  return (
    <span className="pill" data-status={status}>
      <Icon name={`status-${status}`} className={status === 'running' ? 'spin' : ''} />
      {STATUS_WORDS[status]}
      {note ? <span className="quiet"> · {note}</span> : null}
    </span>
  );
}
