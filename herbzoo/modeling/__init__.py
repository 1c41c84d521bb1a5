"""The transformers side of herbzoo: configuration, models, parts by name."""
