"""Ratios measured side by side in one run, and studies on real images; docs are rendered from the JSON they write."""
