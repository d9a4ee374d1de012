"""The HTTP doors: one module per concern, each about ten lines a route."""
