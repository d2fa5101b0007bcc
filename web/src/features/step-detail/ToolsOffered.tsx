import { exact } from '../../ui/format';
import { PlainText } from '../text/PlainText';
import { JsonView } from './Json';
import { Section } from './Section';
import { type OfferedTool, signatureOf } from './tools-offered';

/** The tools that a model could call, each with its description and the schema of its arguments. */
export function ToolsOffered({ tools, memory }: { tools: readonly OfferedTool[]; memory: string }) {
  if (tools.length === 0) return null;
  const names = tools
    .slice(0, 20)
    .map(({ name }) => name)
    .join(', ');
  return (
    <Section
      title="Tools offered"
      memory={`${memory}.tools`}
      startsCollapsed
      summary={`${exact(tools.length)} · ${names}`}
    >
      <ToolList tools={tools} />
    </Section>
  );
}

/** One line for each tool, which opens its description and schema. */
export function ToolList({ tools }: { tools: readonly OfferedTool[] }) {
  return (
    <ul className="tool-list">
      {tools.map((tool) => (
        <li key={tool.name}>
          <details className="tool-offered">
            <summary>
              <b>{tool.name}</b> <span className="faint">({signatureOf(tool.schema)})</span>
            </summary>
            {tool.description === null ? null : <PlainText text={tool.description} />}
            {tool.schema === null ? (
              <p className="faint">No schema recorded.</p>
            ) : (
              <JsonView value={tool.schema} depth={3} />
            )}
          </details>
        </li>
      ))}
    </ul>
  );
}
