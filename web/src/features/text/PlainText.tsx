import { memo } from 'react';
import './text.css';

/** A browser lays out a long text node in one go; parts that are not in view are skipped. */
const PART_CHARS = 8_000;

interface PlainTextProps {
  text: string;
  mono?: boolean;
}

/** Text as it is. */
export function PlainText({ text, mono = false }: PlainTextProps) {
  const className = mono ? 'text-body mono' : 'text-body';
  if (text.length <= 2 * PART_CHARS) {
    return (
      <div dir="auto" className={className}>
        {text}
      </div>
    );
  }
  return (
    <div className={className}>
      {partsOf(text).map((part, index) => (
        <Part key={index} text={part} />
      ))}
    </div>
  );
}

const Part = memo(({ text }: { text: string }) => (
  <div dir="auto" className="text-part">
    {text}
  </div>
));

/** Parts end at a line's end where there is one; its line feed is the border between two parts. */
export function partsOf(text: string): string[] {
  const parts: string[] = [];
  let at = 0;
  while (text.length - at > PART_CHARS) {
    const feed = text.lastIndexOf('\n', at + PART_CHARS);
    // never between the two halves of a character
    const hard = at + PART_CHARS - (isHighSurrogate(text.charCodeAt(at + PART_CHARS - 1)) ? 1 : 0);
    const end = feed > at ? feed : hard;
    parts.push(text.slice(at, end));
    at = feed > at ? feed + 1 : hard;
  }
  parts.push(text.slice(at));
  return parts;
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
