"""Heads: embeddings to scores and a loss."""
