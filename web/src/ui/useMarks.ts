/** Marks words in what an element shows, by the browser's highlights: the elements themselves stay as they are. */
import { type RefObject, useEffect } from 'react';

const MARKS_MAX = 500;
const CHARS_MAX = 400_000;
const PAUSE_MS = 120;

/**
 * @param name of the highlight: `::highlight(name)` styles it
 * @param words in lower case; null or none: no marks
 * @param onMarked the first mark, after each change
 */
export function useMarks(
  name: string,
  element: RefObject<HTMLElement | null>,
  words: readonly string[],
  onMarked?: (first: Range | null) => void,
): void {
  const key = words.join('\n');
  // biome-ignore lint/correctness/useExhaustiveDependencies: the listener may be another one each time
  useEffect(() => {
    const root = element.current;
    if (!root || key === '' || typeof Highlight === 'undefined') return;
    const wanted = key.split('\n');
    let timer: ReturnType<typeof setTimeout> | undefined;
    const mark = () => {
      timer = undefined;
      const ranges = rangesOf(root, wanted);
      CSS.highlights.set(name, new Highlight(...ranges));
      onMarked?.(ranges[0] ?? null);
    };
    const soon = () => {
      timer ??= setTimeout(mark, PAUSE_MS);
    };
    const observer = new MutationObserver(soon);
    observer.observe(root, { childList: true, characterData: true, subtree: true });
    soon();
    return () => {
      clearTimeout(timer);
      observer.disconnect();
      CSS.highlights.delete(name);
    };
  }, [name, element, key]);
}

function rangesOf(root: HTMLElement, words: readonly string[]): Range[] {
  const ranges: Range[] = [];
  const nodes = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  let chars = 0;
  while (nodes.nextNode() && ranges.length < MARKS_MAX && chars < CHARS_MAX) {
    const node = nodes.currentNode as Text;
    const text = node.data.toLowerCase();
    chars += text.length;
    // some characters are longer in lower case: places would not fit
    if (text.length !== node.data.length) continue;
    for (const word of words) {
      for (
        let at = text.indexOf(word);
        at >= 0 && ranges.length < MARKS_MAX;
        at = text.indexOf(word, at + word.length)
      ) {
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + word.length);
        ranges.push(range);
      }
    }
  }
  return ranges;
}
