"""The first-party plugins of herbzoo; they import nothing from it."""
