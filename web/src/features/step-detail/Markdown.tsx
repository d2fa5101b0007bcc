import { memo, type ReactNode } from 'react';
import { CodeText } from '../text/CodeText';
import type { MarkdownBlock, MarkdownElement, MarkdownNode } from '../text/markdown';
import { PlainText } from '../text/PlainText';
import { useTextJob } from '../text/useTextJob';

/**
 * What agents write is shown, never run: no HTML passes, an image is its description and address, a link shows its target and opens in
 * a new tab. A worker parses the text; until it has, and when it cannot, the text appears as it is.
 */
export function Markdown({ text }: { text: string }) {
  const tree = useTextJob({ kind: 'markdown', text });
  if (tree === null) return <PlainText text={text} />;
  return (
    <div className="md-body">
      {tree.blocks.map((block, index) => (
        <Block key={index} block={block} />
      ))}
      {tree.rest ? <PlainText text={tree.rest} /> : null}
    </div>
  );
}

/** Streamed text is parsed again and again: only the blocks that changed are drawn again. */
const Block = memo(
  ({ block }: { block: MarkdownBlock }) => element(block.node, 0),
  (before, after) => before.block.hash === after.block.hash,
);

function content(nodes: readonly MarkdownNode[]): ReactNode[] {
  return nodes.map((node, index) => (typeof node === 'string' ? node : element(node, index)));
}

function element(node: MarkdownElement, key: number): ReactNode {
  const { children } = node;
  switch (node.tag) {
    case 'heading':
      return (
        <p key={key} dir="auto" className={`md-heading level-${node.number}`}>
          {content(children)}
        </p>
      );
    case 'p':
    case 'li':
    case 'blockquote':
      return (
        <node.tag key={key} dir="auto">
          {content(children)}
        </node.tag>
      );
    case 'ol':
      return (
        <ol key={key} start={node.number}>
          {content(children)}
        </ol>
      );
    case 'pre':
      return (
        <pre key={key} className="code-block" data-language={node.language}>
          {node.code ? <CodeText fragments={node.code} /> : content(children)}
        </pre>
      );
    case 'table':
      return (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways, and keys must reach it
        <div key={key} className="md-table" tabIndex={0}>
          <table>
            <tbody>{content(children)}</tbody>
          </table>
        </div>
      );
    case 'a':
      return <OutLink key={key} to={node.address ?? ''} label={content(children)} />;
    case 'img':
      return (
        <span key={key} className="md-image">
          {`[image${children.length > 0 ? `: ${children.join('')}` : ''}] ${node.address}`}
        </span>
      );
    case 'br':
    case 'hr':
      return <node.tag key={key} />;
    default:
      return (
        <node.tag key={key} dir={node.tag === 'td' || node.tag === 'th' ? 'auto' : undefined}>
          {content(children)}
        </node.tag>
      );
  }
}

/** Only web addresses become links, and the true one is in the title. */
function OutLink({ to, label }: { to: string; label: ReactNode[] }) {
  if (!/^https?:\/\//i.test(to)) {
    return (
      <>
        {label} ({to})
      </>
    );
  }
  return (
    <a href={to} title={to} target="_blank" rel="noopener noreferrer nofollow" referrerPolicy="no-referrer">
      {label}
    </a>
  );
}
