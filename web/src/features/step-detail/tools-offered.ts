/** The tools that a model call was offered, in whichever form its instrumentation sent them. */
import { isObject, type Json } from './messages';

export interface OfferedTool {
  name: string;
  description: string | null;
  /** JSON Schema of its arguments; null when it was not sent */
  schema: Json;
}

const TOOLS_MAX = 500;
/** Whole lists, by attribute: OpenTelemetry, Vercel, Strands (names only). */
const LISTS = ['gen_ai.tool.definitions', 'gen_ai.request.tools', 'ai.prompt.tools', 'tools', 'gen_ai.agent.tools'];
/** One attribute for each tool: OpenInference. */
const ONE = /^llm\.tools\.(\d+)\.tool\.(json_schema|name|description)$/;
/** One attribute for each property of each tool: OpenLLMetry before it followed OpenTelemetry. */
const PROPERTY = /^(?:llm|gen_ai)\.request\.functions\.(\d+)\.(name|description|parameters)$/;
/** In the parameters of a request. */
const PARAMETERS = ['tools', 'functions', 'function_tools'];

/** The tools of a step in the order in which they were sent; each name once. */
export function offeredTools(attributes: { [name: string]: Json }, parameters: string | null): OfferedTool[] {
  const found: Json[] = [];
  for (const name of LISTS) found.push(...listOf(attributes[name]));
  found.push(...numbered(attributes));
  const request = read(parameters);
  if (isObject(request)) for (const name of PARAMETERS) found.push(...listOf(request[name]));
  const tools = new Map<string, OfferedTool>();
  for (const item of found) {
    const tool = toolIn(read(item));
    const known = tool === null ? undefined : tools.get(tool.name);
    if (tool === null || tools.size >= TOOLS_MAX) continue;
    // two places may name one tool: the one that says more counts
    if (known === undefined || (known.schema === null && tool.schema !== null)) tools.set(tool.name, tool);
  }
  return [...tools.values()];
}

function numbered(attributes: { [name: string]: Json }): Json[] {
  const tools = new Map<number, { [key: string]: Json }>();
  for (const [name, value] of Object.entries(attributes)) {
    const match = ONE.exec(name) ?? PROPERTY.exec(name);
    if (match === null) continue;
    const place = Number(match[1]);
    const tool = tools.get(place) ?? {};
    const key = match[2] as string;
    if (key === 'json_schema') Object.assign(tool, toolIn(read(value)) ?? {});
    else tool[key] = read(value);
    tools.set(place, tool);
  }
  return [...tools].toSorted(([a], [b]) => a - b).map(([, tool]) => tool);
}

/** A tool of OpenAI (`{type, function}`), Anthropic (`input_schema`), Bedrock (`toolSpec`), Vercel or Pydantic AI; or only its name. */
function toolIn(value: Json | undefined): OfferedTool | null {
  if (typeof value === 'string') return value === '' ? null : { name: value, description: null, schema: null };
  if (!isObject(value)) return null;
  const inner = [value.function, value.toolSpec, value.tool].find(isObject) ?? value;
  const name = inner.name ?? value.name ?? value.type;
  if (typeof name !== 'string' || name === '') return null;
  const { description } = inner;
  return {
    name,
    description: typeof description === 'string' && description !== '' ? description : null,
    schema: schemaIn(inner),
  };
}

function schemaIn(tool: { [key: string]: Json }): Json {
  for (const key of ['parameters', 'input_schema', 'inputSchema', 'parameters_json_schema', 'json_schema', 'schema']) {
    const schema = read(tool[key]);
    if (!isObject(schema)) continue;
    return isObject(schema.json) ? schema.json : schema;
  }
  return null;
}

function listOf(value: Json | undefined): Json[] {
  const list = read(value);
  return Array.isArray(list) ? list : [];
}

/** JSON in a string is what it says. */
function read(value: Json | undefined): Json {
  if (value === undefined) return null;
  if (typeof value !== 'string') return value;
  const first = value.trimStart()[0];
  if (first !== '{' && first !== '[') return value;
  try {
    return JSON.parse(value) as Json;
  } catch {
    return value;
  }
}

/** `city: string, nights?: integer`: the arguments of a tool on one line. */
export function signatureOf(schema: Json): string {
  if (!isObject(schema) || !isObject(schema.properties)) return '';
  const required = Array.isArray(schema.required) ? schema.required : [];
  return Object.entries(schema.properties)
    .slice(0, 20)
    .map(([name, property]) => {
      const type = isObject(property) && typeof property.type === 'string' ? `: ${property.type}` : '';
      return `${name}${required.includes(name) ? '' : '?'}${type}`;
    })
    .join(', ');
}
