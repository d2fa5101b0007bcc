import { useMemo, useState } from 'react';
import { copyText } from '../../ui/controls';
import { exact } from '../../ui/format';
import { Icon } from '../../ui/Icon';
import { listMark } from '../text/json-text';
import { PlainText } from '../text/PlainText';
import { vectorInText } from './documents';
import { pathBelow } from './json-path';
import { Media } from './Media';
import { isObject, type Json, mediaOf } from './messages';

const CHILDREN_STEP = 100;
const MORE = 500;
const KEY_MAX = 200;
const STRING_MAX = 2_000;
const OPEN_MAX = 40;

/** A JSON value as a tree that unfolds; strings keep their lines. Colour by kind, and never by colour alone. */
export function JsonView({ value, depth = 2, path = '' }: { value: Json; depth?: number; path?: string }) {
  return (
    <div className="json-view">
      <Node name={null} path={path} value={value} open={depth} />
    </div>
  );
}

interface NodeProps {
  name: string | null;
  /** of this value, as it is copied; empty at the top */
  path: string;
  value: Json;
  /** levels that start expanded */
  open: number;
}

function Node({ name, path, value, open }: NodeProps) {
  const keys = useMemo(() => keysOf(value), [value]);
  const count = Array.isArray(value) ? value.length : (keys?.length ?? 0);
  const [expanded, setExpanded] = useState(open > 0 && count <= OPEN_MAX);
  const [shown, setShown] = useState(CHILDREN_STEP);
  const list = Array.isArray(value);
  if (!list && keys === null) {
    return (
      <div className="json-line">
        {name === null ? null : <Key name={name} path={path} />}
        <Scalar value={value as Exclude<Json, object>} />
      </div>
    );
  }
  if (keys?.includes('sha256') && isObject(value) && value.type === 'media') {
    return (
      <div className="json-line">
        {name === null ? null : <Key name={name} path={path} />}
        <Media part={mediaOf(value)} />
      </div>
    );
  }
  if (count === 0) {
    return (
      <div className="json-line">
        {name === null ? null : <Key name={name} path={path} />}
        <span className="json-mark">{list ? '[]' : '{}'}</span>
      </div>
    );
  }
  return (
    <div>
      <div className="json-branch">
        <button type="button" className="json-twist" aria-expanded={expanded} onClick={() => setExpanded(!expanded)}>
          <Icon name="chevron" className={expanded ? 'turned' : ''} />
          {name === null ? null : <KeyText name={name} />}
          <span className="json-mark">
            {list ? listMark(value) : expanded ? `{${exact(count)}}` : preview(keys ?? [])}
          </span>
        </button>
        {path === '' ? null : (
          <button
            type="button"
            className="json-copy"
            aria-label={`Copy the path ${cutKey(path)}`}
            title={`Copy the path ${cutKey(path)}`}
            onClick={() => void copyText(path, 'the path')}
          >
            <Icon name="copy" />
          </button>
        )}
      </div>
      {expanded ? (
        <div className="json-children">
          {list
            ? value
                .slice(0, shown)
                .map((inner, index) => (
                  <Node key={index} name={String(index)} path={pathBelow(path, index)} value={inner} open={open - 1} />
                ))
            : keys
                ?.slice(0, shown)
                .map((key) => (
                  <Node
                    key={key}
                    name={key}
                    path={pathBelow(path, key)}
                    value={(value as Record<string, Json>)[key] ?? null}
                    open={open - 1}
                  />
                ))}
          {count > shown ? (
            <button type="button" className="button small" onClick={() => setShown(shown + MORE)}>
              Show {exact(Math.min(MORE, count - shown))} more of {exact(count - shown)}
            </button>
          ) : null}
        </div>
      ) : null}
    </div>
  );
}

/** The key of a value that does not unfold: a click copies its path. */
function Key({ name, path }: { name: string; path: string }) {
  return (
    <button
      type="button"
      className="json-key"
      title={`Copy the path ${cutKey(path)}`}
      onClick={() => void copyText(path, 'the path')}
    >
      {cutKey(name)}
      <span className="json-mark">: </span>
    </button>
  );
}

function KeyText({ name }: { name: string }) {
  return (
    <span className="json-key">
      {cutKey(name)}
      <span className="json-mark">: </span>
    </span>
  );
}

function Scalar({ value }: { value: string | number | boolean | null }) {
  const [all, setAll] = useState(false);
  if (typeof value !== 'string')
    return <span className={value === null ? 'json-mark' : 'json-number'}>{String(value)}</span>;
  const vector = vectorInText(value);
  if (vector !== null) return <span className="json-mark">{listMark(vector)}</span>;
  const cut = !all && value.length > STRING_MAX;
  const text = cut ? value.slice(0, STRING_MAX) : value;
  const lines = text.includes('\n');
  return (
    <>
      {lines || text.length > STRING_MAX ? (
        <div className="json-text">
          <PlainText text={text} mono />
        </div>
      ) : (
        <span dir="auto" className="json-string">{`"${text}"`}</span>
      )}
      {cut ? (
        <button type="button" className="button small" onClick={() => setAll(true)}>
          Show all {exact(value.length)} characters
        </button>
      ) : null}
    </>
  );
}

/** Null for what has no keys: a list has many, and its places need no names of their own. */
function keysOf(value: Json): string[] | null {
  return isObject(value) ? Object.keys(value) : null;
}

function preview(keys: string[]): string {
  const first = keys.slice(0, 4).map((key) => cutKey(key));
  return `{${first.join(', ')}${keys.length > 4 ? ', …' : ''}}`;
}

function cutKey(key: string): string {
  return key.length > KEY_MAX ? `${key.slice(0, KEY_MAX)}…` : key;
}
