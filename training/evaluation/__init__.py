"""Scoring predictions against gold labels: SemEval-2018 task 1's metrics, and the benchmark's.

Needs neither numpy nor torch. `sources` reads labels and predictions, `scores` compares them,
`published` has the paper's rows to put beside.
"""
