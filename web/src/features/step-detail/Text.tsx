import { useState } from 'react';
import { bytes } from '../../ui/format';
import { CodeText } from '../text/CodeText';
import { PlainText } from '../text/PlainText';
import { useTextJob } from '../text/useTextJob';
import { Markdown } from './Markdown';

const LINES_MAX = 200;
const CHARS_MAX = 20_000;

interface LongTextProps {
  text: string;
  markdown?: boolean;
  mono?: boolean;
  /** of code: its colours, where the text is short */
  language?: string;
}

/** Text as it is; of a long one the first 200 lines until the reader asks for all of it. */
export function LongText({ text, markdown = false, mono = false, language = '' }: LongTextProps) {
  const [all, setAll] = useState(false);
  const cut = all ? text : beginning(text);
  const code = useTextJob(language ? { kind: 'highlight', text: cut, language } : null);
  return (
    <>
      {markdown ? (
        <Markdown text={cut} />
      ) : code ? (
        <div className="text-body mono">
          <CodeText fragments={code} />
        </div>
      ) : (
        <PlainText text={cut} mono={mono} />
      )}
      {cut.length < text.length ? (
        <button type="button" className="button small more" onClick={() => setAll(true)}>
          Show all ({bytes(text.length)})
        </button>
      ) : null}
    </>
  );
}

function beginning(text: string): string {
  if (text.length <= CHARS_MAX) return text;
  let at = -1;
  for (let line = 0; line < LINES_MAX; line++) {
    at = text.indexOf('\n', at + 1);
    if (at < 0 || at > CHARS_MAX) return text.slice(0, CHARS_MAX);
  }
  return text.slice(0, at);
}
