"""Collections of specimens: records, readers, images, splits, and the synthetic flora."""
