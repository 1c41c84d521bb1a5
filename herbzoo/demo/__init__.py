"""The Gradio app that shows a trained model: on one's own machine, and as a Space of the Hub.

A tab is a file, `*_tab.py`; what is shown in one is made by functions that return HTML and know
nothing of Gradio, and what is computed is asked of `herbzoo.demo.model.DemoModel`.
"""
