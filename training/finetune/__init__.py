"""Supervised fine-tuning of any of the EmoLLMs' architectures on instructions and answers.

`aaid` builds the authors' instruction data out of SemEval-2018's files, `records` reads and writes
their `conversations` JSON, `encoding` and `batches` say what the model sees and what counts, `run`
trains and saves. Only `base`, `batches`, `trainer`, `saving`, `merging` and `run` need torch.
"""
