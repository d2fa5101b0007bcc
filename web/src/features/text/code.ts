/** Colours of code: one pass, one expression a language, none of which goes back over what it has read. */

export type CodeKind = 'string' | 'number' | 'word' | 'key' | 'comment';

/** Text, and what it is; null is everything else. */
export type Fragment = [text: string, kind: CodeKind | null];

const CHARS_MAX = 20_000;
const FRAGMENTS_MAX = 3_000;

const PYTHON =
  'and as assert async await break class continue def del elif else except False finally for from global if import in is lambda None nonlocal not or pass raise return True try while with yield match case self';
const SCRIPT =
  'as async await break case catch class const continue default delete do else enum export extends false finally for from function if implements import in instanceof interface let new null of return static super switch this throw true try type typeof undefined var void while yield';
const SQL =
  'and as asc between by case create delete desc distinct drop else end exists false from full group having in inner insert into is join left like limit not null on or order outer right select set table then true union update values when where with';
const SHELL = 'case do done elif else esac export fi for function if in local return then until while';

const STRINGS = `"(?:[^"\\\\\\n]|\\\\.)*"?|'(?:[^'\\\\\\n]|\\\\.)*'?`;
const NUMBERS = '\\b\\d[\\w.]*';
const WORDS = '[A-Za-z_$][\\w$]*';

interface Language {
  tokens: RegExp;
  words: Set<string>;
  foldsCase?: boolean;
}

function language(words: string, comments: string, strings = STRINGS, foldsCase = false): Language {
  const tokens = new RegExp(`(${comments})|(${strings})|(${NUMBERS})|(${WORDS})`, 'g');
  return { tokens, words: new Set(words.split(' ')), foldsCase };
}

const python = language(PYTHON, '#[^\\n]*', `"""[\\s\\S]*?(?:"""|$)|'''[\\s\\S]*?(?:'''|$)|${STRINGS}`);
const script = language(SCRIPT, '//[^\\n]*|/\\*[\\s\\S]*?(?:\\*/|$)', `${STRINGS}|\`(?:[^\`\\\\]|\\\\[\\s\\S])*\`?`);
const json = language('true false null', '//[^\\n]*');
const sql = language(SQL, '--[^\\n]*', STRINGS, true);
const shell = language(SHELL, '#[^\\n]*');

const LANGUAGES: Record<string, Language> = {
  python, py: python, python3: python,
  javascript: script, js: script, jsx: script, typescript: script, ts: script, tsx: script,
  json, jsonc: json, json5: json,
  sql, bash: shell, sh: shell, shell, zsh: shell,
}; // biome-ignore format: a table

/** @returns null when the language is unknown or the text is long: it has no colours then */
export function highlight(text: string, name: string): Fragment[] | null {
  const known = LANGUAGES[name.toLowerCase()];
  if (known === undefined || text.length > CHARS_MAX) return null;
  const fragments: Fragment[] = [];
  let at = 0;
  for (const match of text.matchAll(known.tokens)) {
    if (fragments.length >= FRAGMENTS_MAX) break;
    const [whole, comment, string, number] = match;
    let kind: CodeKind | null = null;
    if (comment !== undefined) kind = 'comment';
    else if (string !== undefined)
      kind =
        known === json && /^\s*:/.test(text.slice(match.index + whole.length, match.index + whole.length + 8))
          ? 'key'
          : 'string';
    else if (number !== undefined) kind = 'number';
    else if (known.words.has(known.foldsCase ? whole.toLowerCase() : whole)) kind = 'word';
    if (kind === null) continue;
    if (match.index > at) fragments.push([text.slice(at, match.index), null]);
    fragments.push([whole, kind]);
    at = match.index + whole.length;
  }
  if (at < text.length) fragments.push([text.slice(at), null]);
  return fragments;
}
