/**
 * All style sheets share one space of class names: two that mean different things by one name break each other's pages. So a class
 * that a sheet styles by itself (`.name { }`) belongs to the folder of that sheet, and no other folder uses it, except that those of
 * src/app and src/ui are for all pages. Single words (`start`, `plain`, `open`) are left to shared sheets and to variants of another
 * class (`.menu-list.end`): elsewhere a class has two words. `node dev/check-styles.mjs` fails and lists what breaks these rules.
 */
import { globSync, readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const SHARED = /^src\/(app|ui)\//;

/** The selectors of a style sheet, without comments, strings and at-rules. */
function selectorsOf(css) {
  const plain = css.replace(/\/\*[\s\S]*?\*\//g, '').replace(/"[^"]*"/g, '""');
  return [...plain.matchAll(/([^{}]+)\{/g)]
    .flatMap(([, head]) => head.split(';').at(-1).split(','))
    .map((selector) => selector.trim())
    .filter((selector) => selector !== '' && !selector.startsWith('@'));
}

function classesOf(selector) {
  return [...selector.matchAll(/\.([a-zA-Z_][\w-]*)/g)].map(([, name]) => name);
}

/** The class that a selector styles by itself; null when it is qualified by anything but a state. */
function ownedBy(selector) {
  return /^\.([a-zA-Z_][\w-]*)(?:::?[\w-]+(?:\([^)]*\))?|\[[^\]]*\])*$/.exec(selector)?.[1] ?? null;
}

const folderOf = (path) => (SHARED.test(path) ? 'src' : path.slice(0, path.lastIndexOf('/')));

/**
 * @param {Record<string, string>} sheets path -> text
 * @returns {string[]} one line for each class that breaks a rule
 */
export function violationsOf(sheets) {
  const owners = new Map();
  const users = new Map();
  const add = (map, name, folder) => map.set(name, (map.get(name) ?? new Set()).add(folder));
  for (const [path, css] of Object.entries(sheets)) {
    for (const selector of selectorsOf(css)) {
      const owned = ownedBy(selector);
      if (owned) add(owners, owned, folderOf(path));
      for (const name of classesOf(selector)) add(users, name, folderOf(path));
    }
  }
  const violations = [];
  for (const [name, folders] of owners) {
    if (folders.has('src') && folders.size === 1) continue;
    const all = [...users.get(name)].sort();
    if (all.length > 1) violations.push(`.${name} is used in ${all.join(' and ')}`);
    else if (!name.includes('-')) violations.push(`.${name} of ${all[0]} is a single word`);
  }
  return violations.sort();
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const sheets = Object.fromEntries(globSync('src/**/*.css').map((path) => [path, readFileSync(path, 'utf8')]));
  const lines = violationsOf(sheets);
  for (const line of lines) process.stderr.write(`${line}\n`);
  process.exit(lines.length > 0 ? 1 : 0);
}
