/** Documents that a retrieval found or a reranker ordered, and vectors that were sent as text. */
import { isObject, type Json } from './messages';

export interface FoundDocument {
  /** name or address of the document; null when it has none */
  id: string | null;
  text: string;
  score: number | null;
  /** everything else */
  rest: { [key: string]: Json };
}

const DOCUMENTS_MAX = 1_000;
const TEXTS = ['content', 'text', 'page_content', 'pageContent', 'document', 'chunk', 'passage', 'snippet'];
const SCORES = ['score', 'relevance_score', 'similarity', '_score'];
const IDS = ['id', 'title', 'source', 'url', 'uri', 'document_id', 'index'];
const LISTS = ['documents', 'results', 'matches', 'hits', 'data'];

/** Null when the value is not a list of documents. */
export function documentsIn(value: Json): FoundDocument[] | null {
  const list = Array.isArray(value)
    ? value
    : isObject(value)
      ? LISTS.map((name) => value[name]).find(Array.isArray)
      : undefined;
  if (list === undefined || list.length === 0 || list.length > DOCUMENTS_MAX) return null;
  const documents = list.map(documentIn);
  return documents.every((one) => one !== null) ? documents : null;
}

function documentIn(value: Json): FoundDocument | null {
  if (typeof value === 'string') return { id: null, text: value, score: null, rest: {} };
  // LangChain and LlamaIndex put the document beside its score
  if (Array.isArray(value) && value.length === 2 && typeof value[1] === 'number') {
    const inner = documentIn(value[0] ?? null);
    return inner && { ...inner, score: value[1] };
  }
  if (!isObject(value)) return null;
  const nested = [value.node, value.document].find(isObject);
  const inner = nested === undefined ? value : { ...nested, ...value };
  const textKey = TEXTS.find((key) => typeof inner[key] === 'string' && inner[key] !== '');
  const scoreKey = SCORES.find((key) => typeof inner[key] === 'number');
  const idKey = IDS.find((key) => typeof inner[key] === 'string' || typeof inner[key] === 'number');
  const metadata = isObject(inner.metadata) ? inner.metadata : {};
  if (textKey === undefined && (scoreKey === undefined || idKey === undefined)) return null;
  const used = new Set([textKey, scoreKey, idKey, 'node', ...(nested === undefined ? [] : ['document']), 'metadata']);
  const rest = Object.fromEntries(Object.entries(inner).filter(([key, one]) => !used.has(key) && one !== null));
  const named =
    idKey === undefined ? IDS.map((key) => metadata[key]).find((one) => typeof one === 'string') : inner[idKey];
  return {
    id: named === undefined || named === null ? null : String(named),
    text: textKey === undefined ? '' : (inner[textKey] as string),
    score: scoreKey === undefined ? null : (inner[scoreKey] as number),
    rest: { ...metadata, ...rest },
  };
}

/** The width of a score's bar, 0 to 1: of scores between 0 and 1 the score itself, of others its share of the largest. */
export function shareOf(score: number, all: readonly FoundDocument[]): number {
  const scores = all.flatMap((one) => (one.score === null ? [] : [Math.abs(one.score)]));
  const most = Math.max(...scores, 0);
  if (!Number.isFinite(score) || most === 0) return 0;
  return Math.min(1, Math.max(0, most <= 1 ? score : Math.abs(score) / most));
}

const VECTOR_TEXT_MIN = 100;
const VECTOR_MIN = 32;

/** The list of numbers that a string holds; null when it is something else. */
export function vectorInText(text: string): number[] | null {
  if (text.length < VECTOR_TEXT_MIN || !/^\s*\[\s*-?[\d.]/.test(text)) return null;
  try {
    const value = JSON.parse(text) as Json;
    const isVector =
      Array.isArray(value) && value.length >= VECTOR_MIN && value.every((one) => typeof one === 'number');
    return isVector ? value : null;
  } catch {
    return null;
  }
}
