"""The recipe of the small model that ships, the scoring of any EmoLLM, and fine-tuning.

One command trains it (`python -m training small --data DIR --out DIR --seed 7`), one scores a
model folder or a running server by the EmoLLMs' full prompts (`python -m training score`).
`finetune/` is behind `emostream train`, `evaluation/` behind `emostream evaluate`.
"""
