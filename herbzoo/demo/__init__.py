"""The Gradio app that shows a trained model: on one's own machine, and as a Space of the Hub."""
