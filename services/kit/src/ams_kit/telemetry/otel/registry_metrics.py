"""The metrics of ``/metrics`` as OTLP: the same names, labels and numbers, so that there is one definition of each."""

from collections import defaultdict
from collections.abc import Iterable

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.samples import Sample

SCOPE = "ams"


def metrics_request(families: Iterable[Family], resource: dict[str, str], began_ns: int, now_ns: int) -> ExportMetricsServiceRequest:
    """Translate what a registry collects.

    Args:
        families: ``REGISTRY.collect()``.
        resource: The attributes of the process.
        began_ns: When the process began to count.
        now_ns: When the families were collected.
    """
    metrics = [metric for family in families if (metric := _metric(family, began_ns, now_ns)) is not None]
    scope = ScopeMetrics(scope=InstrumentationScope(name=SCOPE), metrics=metrics)
    return ExportMetricsServiceRequest(
        resource_metrics=[ResourceMetrics(resource=Resource(attributes=_attributes(resource)), scope_metrics=[scope])]
    )


def _metric(family: Family, began_ns: int, now_ns: int) -> Metric | None:
    if family.type == "counter":
        points = [_number(sample, began_ns, now_ns) for sample in family.samples if sample.name.endswith("_total")]
        total = Sum(data_points=points, aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE, is_monotonic=True)
        return Metric(name=f"{family.name}_total", description=family.documentation, sum=total) if points else None
    if family.type == "gauge":
        points = [_number(sample, 0, now_ns) for sample in family.samples]
        return Metric(name=family.name, description=family.documentation, gauge=Gauge(data_points=points)) if points else None
    if family.type == "histogram":
        found = _histograms(family, began_ns, now_ns)
        histogram = Histogram(data_points=found, aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE)
        return Metric(name=family.name, description=family.documentation, histogram=histogram) if found else None
    return None  # what the Python client says about the interpreter


def _number(sample: Sample, began_ns: int, now_ns: int) -> NumberDataPoint:
    return NumberDataPoint(
        attributes=_attributes(sample.labels), start_time_unix_nano=began_ns, time_unix_nano=now_ns, as_double=sample.value
    )


def _histograms(family: Family, began_ns: int, now_ns: int) -> list[HistogramDataPoint]:
    """Prometheus counts what is at most a bound, OTLP what is between two."""
    buckets: defaultdict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = defaultdict(list)
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        if sample.name.endswith("_bucket"):
            buckets[labels].append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_sum"):
            sums[labels] = sample.value
    points: list[HistogramDataPoint] = []
    for labels, found in buckets.items():
        bounds, counts = zip(*sorted(found), strict=True)
        between = [int(count - before) for count, before in zip(counts, (0, *counts), strict=False)]
        points.append(
            HistogramDataPoint(
                attributes=_attributes(dict(labels)),
                start_time_unix_nano=began_ns,
                time_unix_nano=now_ns,
                count=int(counts[-1]),
                sum=sums.get(labels, 0.0),
                bucket_counts=between,
                explicit_bounds=bounds[:-1],
            )
        )
    return points


def _attributes(labels: dict[str, str]) -> list[KeyValue]:
    return [KeyValue(key=name, value=AnyValue(string_value=value)) for name, value in labels.items()]
