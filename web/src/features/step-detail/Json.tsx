import { useState } from 'react';
import { exact } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { isObject, type Json } from './messages';

const CHILDREN_STEP = 100;
const STRING_MAX = 2_000;
const OPEN_MAX = 40;

/** A JSON value as a tree that unfolds; strings keep their lines. Colour by kind, and never by colour alone. */
export function JsonView({ value, depth = 2 }: { value: Json; depth?: number }) {
  return (
    <div className="json-view">
      <Node name={null} value={value} open={depth} />
    </div>
  );
}

interface NodeProps {
  name: string | null;
  value: Json;
  /** levels that start expanded */
  open: number;
}

function Node({ name, value, open }: NodeProps) {
  const entries = entriesOf(value);
  const [expanded, setExpanded] = useState(open > 0 && (entries?.length ?? 0) <= OPEN_MAX);
  const [shown, setShown] = useState(CHILDREN_STEP);
  if (entries === null) {
    return (
      <div className="json-line">
        {name === null ? null : <Key name={name} />}
        <Scalar value={value as Exclude<Json, object>} />
      </div>
    );
  }
  const list = Array.isArray(value);
  if (entries.length === 0) {
    return (
      <div className="json-line">
        {name === null ? null : <Key name={name} />}
        <span className="json-mark">{list ? '[]' : '{}'}</span>
      </div>
    );
  }
  return (
    <div>
      <button type="button" className="json-twist" aria-expanded={expanded} onClick={() => setExpanded(!expanded)}>
        <Icon name="chevron" className={expanded ? 'turned' : ''} />
        {name === null ? null : <Key name={name} />}
        <span className="json-mark">
          {list ? `[${exact(entries.length)}]` : expanded ? `{${exact(entries.length)}}` : preview(entries)}
        </span>
      </button>
      {expanded ? (
        <div className="json-children">
          {entries.slice(0, shown).map(([key, inner]) => (
            <Node key={key} name={key} value={inner} open={open - 1} />
          ))}
          {entries.length > shown ? (
            <button type="button" className="button small" onClick={() => setShown(shown + 10 * CHILDREN_STEP)}>
              Show {exact(entries.length - shown)} more
            </button>
          ) : null}
        </div>
      ) : null}
    </div>
  );
}

function Key({ name }: { name: string }) {
  return (
    <span className="json-key">
      {name}
      <span className="json-mark">: </span>
    </span>
  );
}

function Scalar({ value }: { value: string | number | boolean | null }) {
  const [all, setAll] = useState(false);
  if (typeof value !== 'string')
    return <span className={value === null ? 'json-mark' : 'json-number'}>{String(value)}</span>;
  const cut = !all && value.length > STRING_MAX;
  const text = cut ? value.slice(0, STRING_MAX) : value;
  const lines = text.includes('\n');
  return (
    <>
      <span className={lines ? 'json-text' : 'json-string'}>{lines ? text : `"${text}"`}</span>
      {cut ? (
        <button type="button" className="button small" onClick={() => setAll(true)}>
          Show all {exact(value.length)} characters
        </button>
      ) : null}
    </>
  );
}

function entriesOf(value: Json): [string, Json][] | null {
  if (Array.isArray(value)) return value.map((inner, index) => [String(index), inner]);
  return isObject(value) ? Object.entries(value) : null;
}

function preview(entries: [string, Json][]): string {
  const keys = entries.slice(0, 4).map(([key]) => key);
  return `{${keys.join(', ')}${entries.length > 4 ? ', …' : ''}}`;
}
