"""Does a model read the same sentence otherwise when it is about another person?

After the method of the Equity Evaluation Corpus (Kiritchenko & Mohammad 2018, "Examining Gender and
Race Bias in Two Hundred Sentiment Analysis Systems"), with sentences of our own: `sentences` makes
them, `comparison` compares the readings in pairs, `statistics` says what may be luck.
"""
