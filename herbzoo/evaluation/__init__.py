"""How well a model does: metrics and their report."""
