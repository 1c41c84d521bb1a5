"""Starts the demo for the model that the Space's README names."""

from pathlib import Path

from huggingface_hub import RepoCard

from herbzoo.demo.app import launch

CARD = Path(__file__).with_name("README.md")

if __name__ == "__main__":
    (model,) = RepoCard.load(CARD).data.models
    launch(model, ssr_mode=False)
