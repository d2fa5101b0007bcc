/**
 * Markdown as a tree of plain objects that a worker can send. The parser is markdown-it; this module bounds what comes out of it: how
 * deep it nests and how many nodes a page has to draw. No HTML passes, and an image is its description and address.
 */
import MarkdownIt from 'markdown-it';
import { type Fragment, highlight } from './code';

export type MarkdownTag =
  | 'p' | 'heading' | 'ul' | 'ol' | 'li' | 'blockquote' | 'pre' | 'code' | 'hr' | 'br'
  | 'table' | 'tr' | 'th' | 'td' | 'strong' | 'em' | 's' | 'a' | 'img'; // biome-ignore format: a table

export interface MarkdownElement {
  tag: MarkdownTag;
  children: MarkdownNode[];
  /** of a heading: 1 to 6; of an ordered list: its first number */
  number?: number;
  /** the target of a link, the address of an image; not checked */
  address?: string;
  /** of a code block */
  language?: string;
  code?: Fragment[];
}

export type MarkdownNode = string | MarkdownElement;

export interface MarkdownBlock {
  node: MarkdownElement;
  /** equal for blocks with equal content */
  hash: string;
}

export interface MarkdownTree {
  blocks: MarkdownBlock[];
  /** what follows the blocks and is shown as plain text, because the limits were reached */
  rest: string;
}

const CHARS_MAX = 200_000;
const NODES_MAX = 4_000;
/** markdown-it leaves out what nests deeper, so a text that reaches this is shown as plain text. */
const NESTING_MAX = 32;

const parser = new MarkdownIt({ html: false, linkify: true, maxNesting: NESTING_MAX });
// only addresses with a scheme become links by themselves: `main.py` is no host name
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false, fuzzyIP: false });

type Token = ReturnType<typeof parser.parse>[number];

/** @returns null when the text nests too deep or its first block is too large: show it as plain text */
export function parseMarkdown(text: string): MarkdownTree | null {
  const source = text.length > CHARS_MAX ? text.slice(0, text.lastIndexOf('\n', CHARS_MAX) + 1 || CHARS_MAX) : text;
  const tokens = parser.parse(source, {});
  if (isTooDeep(tokens)) return null;
  const builder = new Builder();
  const blocks: MarkdownBlock[] = [];
  let shownLines = 0;
  for (const token of tokens) {
    builder.take(token);
    if (builder.nodes > NODES_MAX) {
      if (blocks.length === 0) return null;
      return { blocks, rest: `${source.split('\n').slice(shownLines).join('\n')}${text.slice(source.length)}` };
    }
    const lines = token.map;
    if (token.level === 0 && lines) builder.endLine = lines[1];
    const node = builder.block();
    if (node === null) continue;
    shownLines = builder.endLine;
    blocks.push({ node, hash: hashOf(JSON.stringify(node)) });
  }
  return { blocks, rest: text.slice(source.length) };
}

function isTooDeep(tokens: readonly Token[]): boolean {
  const limit = NESTING_MAX - 2;
  return tokens.some((token) => token.level >= limit || token.children?.some((child) => child.level >= limit));
}

const BLOCK_TAGS: Record<string, MarkdownTag> = {
  paragraph_open: 'p',
  heading_open: 'heading',
  bullet_list_open: 'ul',
  ordered_list_open: 'ol',
  list_item_open: 'li',
  blockquote_open: 'blockquote',
  table_open: 'table',
  tr_open: 'tr',
  th_open: 'th',
  td_open: 'td',
};

const INLINE_TAGS: Record<string, MarkdownTag> = { strong_open: 'strong', em_open: 'em', s_open: 's', link_open: 'a' };

/** Turns the flat tokens of markdown-it into one tree for each block of the document. */
class Builder {
  nodes = 0;
  endLine = 0;
  private root: MarkdownElement = { tag: 'p', children: [] };
  private open: MarkdownElement[] = [this.root];

  /** The block that the last token completed. */
  block(): MarkdownElement | null {
    if (this.open.length > 1) return null;
    const node = this.root.children.pop();
    return typeof node === 'object' ? node : null;
  }

  take(token: Token): void {
    const tag = BLOCK_TAGS[token.type];
    if (tag !== undefined) {
      const node: MarkdownElement = { tag, children: [] };
      if (tag === 'heading') node.number = Number(token.tag.slice(1));
      if (tag === 'ol') node.number = Number(token.attrGet('start') ?? 1);
      this.enter(node);
    } else if (token.type === 'fence' || token.type === 'code_block') this.code(token);
    else if (token.type === 'hr') this.add({ tag: 'hr', children: [] });
    else if (token.type === 'inline') for (const child of token.children ?? []) this.takeInline(child);
    else if (token.nesting === -1 && BLOCK_TAGS[token.type.replace(/_close$/, '_open')]) this.open.pop();
  }

  private takeInline(token: Token): void {
    const tag = INLINE_TAGS[token.type];
    if (tag !== undefined) {
      const link = tag === 'a' ? { address: String(token.attrGet('href') ?? '') } : {};
      this.enter({ tag, children: [], ...link });
    } else if (token.type === 'text' || token.type === 'text_special') this.add(token.content);
    else if (token.type === 'softbreak') this.add('\n');
    else if (token.type === 'hardbreak') this.add({ tag: 'br', children: [] });
    else if (token.type === 'code_inline') this.add({ tag: 'code', children: [token.content] });
    else if (token.type === 'image')
      this.add({ tag: 'img', children: [token.content], address: String(token.attrGet('src') ?? '') });
    else if (token.nesting === -1) this.open.pop();
    else if (token.content) this.add(token.content);
  }

  private code(token: Token): void {
    const language = token.info.trim().split(/\s/, 1)[0] ?? '';
    const text = token.content.endsWith('\n') ? token.content.slice(0, -1) : token.content;
    const code = highlight(text, language);
    this.nodes += code?.length ?? 0;
    this.add({ tag: 'pre', children: [text], ...(language ? { language } : {}), ...(code ? { code } : {}) });
  }

  private enter(node: MarkdownElement): void {
    this.add(node);
    this.open.push(node);
  }

  private add(node: MarkdownNode): void {
    const siblings = (this.open.at(-1) as MarkdownElement).children;
    const last = siblings.at(-1);
    if (typeof node === 'string' && typeof last === 'string') siblings[siblings.length - 1] = last + node;
    else if (node !== '') {
      siblings.push(node);
      this.nodes++;
    }
  }
}

/** FNV-1a with 32 bits, and the length. */
function hashOf(text: string): string {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  return `${text.length}.${hash >>> 0}`;
}
