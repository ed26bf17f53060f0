"""Reads `/metrics` as Prometheus does."""

from typing import TypeAlias

from prometheus_client.parser import text_string_to_metric_families

from tests.live.running import Server

# A sample's name, and its labels as `name=value` in their order.
Series: TypeAlias = tuple[str, ...]
RISING = ("_total", "_count", "_sum", "_bucket")


def read_page(text: str) -> dict[Series, float]:
    """Give the value of each series on a page."""
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def scrape(server: Server) -> dict[Series, float]:
    """Give the value of each series of a server."""
    return read_page(server.request("GET", "/metrics").body.decode())


def counters(page: dict[Series, float]) -> dict[Series, float]:
    """Give the series that only rise: counters, and the parts of histograms."""
    return {series: value for series, value in page.items() if series[0].endswith(RISING)}
