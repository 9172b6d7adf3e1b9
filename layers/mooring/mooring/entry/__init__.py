"""Composition root of the Lambda functions: settings, wiring, HTTP, pages, observability."""
