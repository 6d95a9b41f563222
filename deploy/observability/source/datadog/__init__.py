"""The Datadog dashboards: `build` has the widgets' common form, each other file is a dashboard."""
