"""Grafana dashboards, written by code: `python -m infra.grafana.generate` makes dashboards/*.json.

Grafana imports the files as they are. This folder is for a checkout: a wheel doesn't hold it.
"""
