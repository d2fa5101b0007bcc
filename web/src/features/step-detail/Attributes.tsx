import { useMemo, useState } from 'react';
import { Link } from '../../app/router';
import { copyText } from '../../ui/controls';
import { exact } from '../../ui/format';
import { compactJson } from '../text/json-text';
import { vectorInText } from './documents';
import { JsonView } from './Json';
import { pathBelow } from './json-path';
import { isObject, type Json } from './messages';
import { Section } from './Section';
import { LongText } from './Text';

const TRACE_ID = /^[0-9a-f]{32}$/;
const ROWS_MAX = 300;
/** Of a value that is not text, so many characters are searched. */
const SEARCHED_MAX = 20_000;

/** Everything else that the instrumentation sent, searchable. */
export function Original({ text, memory }: { text: string; memory: string }) {
  const original = useMemo(() => parse(text), [text]);
  if (original === null) {
    return (
      <Section title="Original" memory={`${memory}.original`} startsCollapsed>
        <pre className="code-block">
          <LongText text={text} mono />
        </pre>
      </Section>
    );
  }
  const attributes = isObject(original.attributes) ? Object.entries(original.attributes) : [];
  const links = Array.isArray(original.links) ? original.links : [];
  const others = ['events', 'scope', 'resource'].filter((name) => !isEmpty(original[name]));
  return (
    <>
      {attributes.length > 0 ? <Attributes attributes={attributes} memory={memory} /> : null}
      {links.length > 0 ? <Links links={links} memory={memory} /> : null}
      {others.map((name) => (
        <Section
          key={name}
          title={`${name.charAt(0).toUpperCase()}${name.slice(1)}`}
          memory={`${memory}.${name}`}
          startsCollapsed
        >
          <JsonView value={original[name] ?? null} />
        </Section>
      ))}
    </>
  );
}

/** The attributes of a step that its other fields do not hold; none when there is no original. */
export function attributesOf(original: string | null): { [name: string]: Json } {
  const attributes = original === null ? null : parse(original)?.attributes;
  return isObject(attributes) ? attributes : {};
}

function Attributes({ attributes, memory }: { attributes: [string, Json][]; memory: string }) {
  const [find, setFind] = useState('');
  const sorted = useMemo(() => attributes.toSorted(([a], [b]) => (a < b ? -1 : 1)), [attributes]);
  const wanted = find.toLowerCase();
  const shown = wanted
    ? sorted.filter(
        ([name, value]) => name.toLowerCase().includes(wanted) || textOf(value).toLowerCase().includes(wanted),
      )
    : sorted;
  return (
    <Section title="Attributes" memory={`${memory}.attributes`} startsCollapsed summary={exact(attributes.length)}>
      {attributes.length > 8 ? (
        <input
          className="input attribute-find"
          value={find}
          onChange={(event) => setFind(event.target.value)}
          placeholder="Filter attributes"
          aria-label="Filter attributes"
        />
      ) : null}
      <dl className="attributes">
        {shown.slice(0, ROWS_MAX).map(([name, value]) => (
          <div key={name}>
            <dt>
              <button type="button" title="Copy name" onClick={() => copyText(name, name)}>
                {name}
              </button>
            </dt>
            <dd>
              <AttributeValue name={name} value={value} />
            </dd>
          </div>
        ))}
      </dl>
      {shown.length > ROWS_MAX ? (
        <p className="faint">{exact(shown.length - ROWS_MAX)} more. Use the filter to narrow them down.</p>
      ) : null}
    </Section>
  );
}

function AttributeValue({ name, value }: { name: string; value: Json }) {
  const vector = typeof value === 'string' ? vectorInText(value) : null;
  const shown = vector ?? value;
  if (typeof shown === 'object' && shown !== null)
    return <JsonView value={shown} depth={1} path={pathBelow('', name)} />;
  return <LongText text={textOf(shown)} mono />;
}

/** Spans that this one follows from or belongs with: each leads to its task. */
function Links({ links, memory }: { links: Json[]; memory: string }) {
  return (
    <Section title="Links" memory={`${memory}.links`} summary={exact(links.length)}>
      <ul className="span-links">
        {links.slice(0, ROWS_MAX).map((link, index) => {
          const trace = isObject(link) ? link.trace_id : null;
          return (
            <li key={index}>
              {typeof trace === 'string' && TRACE_ID.test(trace) ? (
                <Link to={`/t/${trace}`}>Task {trace.slice(0, 8)}</Link>
              ) : null}
              <JsonView value={link} depth={0} />
            </li>
          );
        })}
      </ul>
    </Section>
  );
}

function parse(text: string): { [key: string]: Json } | null {
  try {
    const value = JSON.parse(text) as Json;
    return isObject(value) ? value : null;
  } catch {
    return null;
  }
}

function isEmpty(value: Json | undefined): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return isObject(value) && Object.keys(value).length === 0;
}

function textOf(value: Json): string {
  return typeof value === 'string' ? value : compactJson(value, SEARCHED_MAX);
}
