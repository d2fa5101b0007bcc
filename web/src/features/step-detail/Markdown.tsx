import { Fragment, type ReactNode } from 'react';

/**
 * A small Markdown: headings, lists, quotes, rules, tables, code, emphasis, links. What agents write is shown, never run: no
 * HTML passes, an image is its description and address, a link shows its target and opens in a new tab.
 */
export function Markdown({ text }: { text: string }) {
  return <div className="md-body">{blocks(text)}</div>;
}

const FENCE = /^(\s*)(```|~~~)\s*(\S*)/;
const HEADING = /^(#{1,6})\s+(.*?)\s*#*$/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const RULE = /^\s*([-*_])(\s*\1){2,}\s*$/;
const TABLE_RULE = /^\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*$/;

function blocks(text: string): ReactNode[] {
  const lines = text.split('\n');
  const out: ReactNode[] = [];
  let i = 0;
  while (i < lines.length) {
    const line = lines[i] as string;
    const key = i;
    const fence = FENCE.exec(line);
    const heading = HEADING.exec(line);
    if (fence) {
      const body: string[] = [];
      i++;
      while (i < lines.length && !(lines[i] as string).trimStart().startsWith(fence[2] as string))
        body.push(lines[i++] as string);
      i++;
      out.push(
        <pre key={key} className="code-block" data-language={fence[3] || undefined}>
          {body.join('\n')}
        </pre>,
      );
    } else if (line.trim() === '') i++;
    else if (heading) {
      out.push(
        <p key={key} dir="auto" className={`md-heading level-${(heading[1] as string).length}`}>
          {inline(heading[2] as string)}
        </p>,
      );
      i++;
    } else if (RULE.test(line)) {
      out.push(<hr key={key} />);
      i++;
    } else if (line.trimStart().startsWith('>')) {
      const body: string[] = [];
      while (i < lines.length && (lines[i] as string).trimStart().startsWith('>'))
        body.push((lines[i++] as string).replace(/^\s*>\s?/, ''));
      out.push(
        <blockquote key={key} dir="auto">
          {blocks(body.join('\n'))}
        </blockquote>,
      );
    } else if (ITEM.test(line)) {
      const items: string[] = [];
      while (i < lines.length && (ITEM.test(lines[i] as string) || /^\s{2,}\S/.test(lines[i] as string)))
        items.push(lines[i++] as string);
      out.push(<List key={key} lines={items} />);
    } else if (line.includes('|') && TABLE_RULE.test(lines[i + 1] ?? '')) {
      const rows: string[] = [line];
      i += 2;
      while (i < lines.length && (lines[i] as string).includes('|')) rows.push(lines[i++] as string);
      out.push(<Table key={key} rows={rows} />);
    } else {
      const body: string[] = [];
      while (i < lines.length && startsNothing(lines[i] as string)) body.push(lines[i++] as string);
      if (body.length === 0) body.push(lines[i++] as string);
      out.push(
        <p key={key} dir="auto">
          {inline(body.join('\n'))}
        </p>,
      );
    }
  }
  return out;
}

function startsNothing(line: string): boolean {
  return (
    line.trim() !== '' &&
    !FENCE.test(line) &&
    !HEADING.test(line) &&
    !ITEM.test(line) &&
    !line.trimStart().startsWith('>')
  );
}

function List({ lines }: { lines: string[] }) {
  return (
    <ul className="md-list">
      {lines.map((line, index) => {
        const item = ITEM.exec(line);
        const indent = Math.min(
          6,
          Math.floor((item ? (item[1] as string).length : line.length - line.trimStart().length) / 2),
        );
        return (
          <li key={index} dir="auto" style={{ paddingLeft: 22 + indent * 16 }}>
            {item ? (
              <span className="md-bullet" style={{ left: indent * 16 }}>
                {/\d/.test(item[2] as string) ? item[2] : '•'}
              </span>
            ) : null}
            {inline(item ? (item[3] as string) : line.trim())}
          </li>
        );
      })}
    </ul>
  );
}

function Table({ rows }: { rows: string[] }) {
  const cells = rows.map((row) =>
    row
      .trim()
      .replace(/^\||\|$/g, '')
      .split('|')
      .map((cell) => cell.trim()),
  );
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
    <div className="md-table" tabIndex={0}>
      <table>
        <thead>
          <tr>
            {cells[0]?.map((cell, index) => (
              <th key={index}>{inline(cell)}</th>
            ))}
          </tr>
        </thead>
        <tbody>
          {cells.slice(1).map((row, index) => (
            <tr key={index}>
              {row.map((cell, column) => (
                <td key={column}>{inline(cell)}</td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

const INLINE =
  /(`+)([^`]|[^`].*?[^`])\1(?!`)|!\[([^\]]*)\]\(([^)\s]+)[^)]*\)|\[([^\]]+)\]\(([^)\s]+)[^)]*\)|\*\*(?=\S)([^*]+?)\*\*|(?<![\w*])[*_](?=\S)([^*_\n]+?)[*_](?![\w*])|(https?:\/\/[^\s<>()]+[^\s<>().,;:!?'"])/g;

function inline(text: string): ReactNode[] {
  const out: ReactNode[] = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    const [whole, , code, alt, image, label, target, strong, emphasis, bare] = match;
    if (match.index > at) out.push(<Fragment key={at}>{text.slice(at, match.index)}</Fragment>);
    const key = `m${match.index}`;
    if (code !== undefined) out.push(<code key={key}>{code}</code>);
    else if (image !== undefined)
      out.push(<span key={key} className="md-image">{`[image${alt ? `: ${alt}` : ''}] ${image}`}</span>);
    else if (label !== undefined && target !== undefined) out.push(<OutLink key={key} to={target} label={label} />);
    else if (strong !== undefined) out.push(<strong key={key}>{strong}</strong>);
    else if (emphasis !== undefined) out.push(<em key={key}>{emphasis}</em>);
    else if (bare !== undefined) out.push(<OutLink key={key} to={bare} label={bare} />);
    else out.push(<Fragment key={key}>{whole}</Fragment>);
    at = match.index + whole.length;
  }
  if (at < text.length) out.push(<Fragment key={at}>{text.slice(at)}</Fragment>);
  return out;
}

/** Only web addresses become links, and the true one is in the title. */
function OutLink({ to, label }: { to: string; label: string }) {
  if (!/^https?:\/\//i.test(to)) return <>{`${label} (${to})`}</>;
  return (
    <a href={to} title={to} target="_blank" rel="noopener noreferrer nofollow" referrerPolicy="no-referrer">
      {label}
    </a>
  );
}
