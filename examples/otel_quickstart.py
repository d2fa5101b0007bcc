"""The same without our SDK: plain OpenTelemetry, exported as OTLP over HTTP in protobuf.

pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
"""

import os

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

ENDPOINT = os.environ.get("AMS_ENDPOINT", "http://localhost:8080")

exporter = OTLPSpanExporter(f"{ENDPOINT}/v1/traces", headers={"authorization": f"Bearer {os.environ['AMS_API_KEY']}"})
provider = TracerProvider(resource=Resource.create({"service.name": "otel-quickstart"}))
provider.add_span_processor(BatchSpanProcessor(exporter))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("quickstart")

with tracer.start_as_current_span("What is six times seven?") as task:
    task.set_attribute("gen_ai.operation.name", "invoke_agent")
    with tracer.start_as_current_span("chat gpt-4o-mini") as span:
        span.set_attribute("gen_ai.operation.name", "chat")
        span.set_attribute("gen_ai.provider.name", "openai")
        span.set_attribute("gen_ai.request.model", "gpt-4o-mini")
        span.set_attribute("gen_ai.usage.input_tokens", 21)
        span.set_attribute("gen_ai.usage.output_tokens", 3)
        span.set_attribute("gen_ai.input.messages", '[{"role":"user","parts":[{"type":"text","content":"What is six times seven?"}]}]')
        span.set_attribute("gen_ai.output.messages", '[{"role":"assistant","parts":[{"type":"text","content":"42"}]}]')

provider.shutdown()
