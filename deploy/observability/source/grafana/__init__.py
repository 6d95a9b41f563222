"""The Grafana dashboards: `build` has the panels' common form, each other file is a dashboard."""
