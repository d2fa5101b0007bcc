const PLAIN = /^[A-Za-z_$][\w$]*$/;

/** The path of a value below another one, as JavaScript and jq write it: `choices[0].message["tool calls"]`. */
export function pathBelow(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`;
  if (!PLAIN.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}
