"""The recipe of the small model that ships, and the scoring of any EmoLLM.

One command trains it (`python -m training small --data DIR --out DIR --seed 7`), one scores a
model folder or a running server by the EmoLLMs' full prompts (`python -m training score`).
"""
