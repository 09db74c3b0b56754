#!/usr/bin/env python3
"""Reads a page of metrics from standard input as Prometheus does; prints its samples as JSON: [name, labels, value]."""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families

families = list(text_string_to_metric_families(sys.stdin.read()))
names = [family.name for family in families]
assert len(names) == len(set(names)), names
for family in families:
    assert family.type in ("counter", "gauge", "histogram") and family.documentation, family.name
print(json.dumps([[sample.name, sample.labels, sample.value] for family in families for sample in family.samples]))
