"""Backbones: images to pooled features."""
