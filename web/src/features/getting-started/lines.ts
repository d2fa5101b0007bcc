/** The lines that a person copies to send the first task. */

const HOLE = '<your key>';
export const SDK_WHEEL = 'ams_tracing-0.1.0-py3-none-any.whl';

export function sdkLines(origin: string, key: string | null): string {
  return [
    `pip install ${origin}/sdk/${SDK_WHEEL}`,
    `export AMS_ENDPOINT=${origin}`,
    `export AMS_API_KEY=${key ?? HOLE}`,
  ].join('\n');
}

export const SDK_EXAMPLE = `import ams

ams.init()

@ams.tool
def search(question: str) -> str:
    return "21 degrees and sunny"

@ams.agent
def assistant(question: str) -> str:
    return search(question)

assistant("What is the weather in Paris?")`;

export function otelLines(origin: string, key: string | null): string {
  return [
    `export OTEL_EXPORTER_OTLP_ENDPOINT=${origin}`,
    'export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf',
    // the value is a header list, in which a space is written %20
    `export OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20${key ?? HOLE}"`,
  ].join('\n');
}
